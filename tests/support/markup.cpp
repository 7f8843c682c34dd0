#include "tests/support/markup.h"

#include <regex>

namespace masque::test {
namespace {

class Reader {
 public:
  explicit Reader(const std::string& page) : page_(page) {}

  Markup read() {
    if (page_.rfind("<!DOCTYPE html>", 0) == 0) at_ = 15;
    while (at_ < page_.size() && markup_.fault.empty()) {
      if (page_[at_] == '<') {
        page_.compare(at_, 2, "</") == 0 ? close() : open();
      } else {
        text(page_.find('<', at_));
      }
    }
    if (markup_.fault.empty() && !open_.empty()) fail("never closed: " + open_.back());
    return markup_;
  }

 private:
  void fail(const std::string& what) { markup_.fault = what + " at: " + page_.substr(at_, 80); }

  // Text up to `end`: no bare & and no >.
  void text(std::size_t end) {
    static const std::regex entity("&(amp|lt|gt|quot|#39);");
    const std::string part = page_.substr(at_, end == std::string::npos ? end : end - at_);
    const std::string rest = std::regex_replace(part, entity, "");
    if (rest.find_first_of("&>") != std::string::npos) return fail("bare & or >");
    if (open_.empty() && rest.find_first_not_of(" \n") != std::string::npos) {
      return fail("text outside");
    }
    at_ = end == std::string::npos ? page_.size() : end;
  }

  void close() {
    const std::size_t end = page_.find('>', at_);
    if (end == std::string::npos) return fail("unfinished tag");
    const std::string name = page_.substr(at_ + 2, end - at_ - 2);
    if (open_.empty() || open_.back() != name) return fail("closes what is not open");
    open_.pop_back();
    at_ = end + 1;
  }

  void open() {
    static const std::regex tag(
        "<([a-zA-Z][a-zA-Z0-9]*)((?: [a-zA-Z][a-zA-Z0-9:-]*=\"[^\"<]*\")*)(/?)>");
    std::smatch match;
    const std::size_t end = page_.find('>', at_);
    const std::string here = page_.substr(at_, end == std::string::npos ? end : end - at_ + 1);
    if (!std::regex_match(here, match, tag)) return fail("bad tag");
    const std::string name = match[1], attributes = match[2];
    markup_.elements.insert(name);
    static const std::regex id(" id=\"([^\"]*)\"");
    std::smatch found;
    if (std::regex_search(attributes, found, id)) markup_.ids.insert(found[1]);
    at_ += here.size();
    if (match[3].length() > 0) return;
    if (name == "script" || name == "style") {
      const std::size_t raw_end = page_.find("</" + name + ">", at_);
      if (raw_end == std::string::npos) return fail("raw text without end");
      at_ = raw_end + name.size() + 3;
      return;
    }
    open_.push_back(name);
  }

  const std::string& page_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
  Markup markup_;
};

}  // namespace

Markup read_markup(const std::string& page) {
  return Reader(page).read();
}

}  // namespace masque::test
