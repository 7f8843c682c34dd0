// Whether a page's tags balance, and what ids it has.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace masque::test {

struct Markup {
  std::string fault;  // the first: what is wrong, and the text from there; "" where there is none
  std::multiset<std::string> ids;
  std::multiset<std::string> elements;
};

// Reads `page` as XML would: each tag closed in turn, attributes quoted, & only before an entity,
// no bare <. But for a doctype, and the raw text of <script> and <style>.
Markup read_markup(const std::string& page);

}  // namespace masque::test
