// masque sample --device cuda: what a user sees is what the CPU shows.
#include <nlohmann/json.hpp>

#include "tests/support/small_run.h"

namespace masque::test {
namespace {

using Json = nlohmann::json;

Json samples(const SmallRun& run, const std::string& device) {
  const ProcessResult result = run.masque(
      "sample", {"--prompt", "the ", "--n", "2", "--device", device, "--dtype", "f32", "--json"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  Json json = Json::parse(result.out);
  for (Json& sample : json["samples"]) {
    sample.erase("seconds");
    sample.erase("tokens_per_second");
  }
  return json;
}

TEST_CASE("sample on a GPU writes what it does on the CPU", "[sample][gpu]") {
  for (const std::string objective : {"llada", "ar"}) {
    const SmallRun run(objective);
    CHECK(samples(run, "cuda") == samples(run, "cpu"));
    const ProcessResult result =
        run.masque("sample", {"--length", "5", "--device", "cuda", "--watch"});
    CHECK(result.code == 0);
    CHECK_THAT(result.err, Catch::Matchers::Contains("step 1\n") &&
                               Catch::Matchers::Contains("step 5\n") &&
                               Catch::Matchers::Contains("tokens/s"));
  }
}

}  // namespace
}  // namespace masque::test
