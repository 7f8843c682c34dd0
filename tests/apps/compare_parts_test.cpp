// The parts of a comparison, as files that are read once.
#include <cmath>

#include "apps/compare/parts.h"
#include "kernels/backend.h"
#include "tests/support/catch.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

using Json = nlohmann::json;

TEST_CASE("A part is what was written last, as its file holds it", "[compare][cpu]") {
  const Scratch folder;
  Parts parts(folder / "parts");
  CHECK(parts.read("a").is_null());
  parts.write("a", {{"nats", NAN}, {"steps", 3}});
  CHECK(parts.read("a") == Json({{"nats", nullptr}, {"steps", 3}}));
  const Json& first = parts.read("a");
  CHECK(&parts.read("a") == &first);  // not read again
  parts.write("a", {{"steps", 4}});
  CHECK(parts.read("a") == Json({{"steps", 4}}));
  CHECK(Parts(folder / "parts").read("a") == parts.read("a"));

  std::filesystem::remove(folder / "parts/a.json");
  CHECK(parts.read("a").is_null());
  spill(folder / "parts/b.json", "{\"steps\"");
  CHECK_THROWS_AS(parts.read("b"), InputError);
}

}  // namespace
}  // namespace masque::test
