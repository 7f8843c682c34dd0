// masque eval, as a user runs it.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "models/source.h"
#include "tests/support/small_run.h"

using Catch::Matchers::Contains;

namespace masque::test {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

Json eval_json(const SmallRun& run, Arguments options = {}) {
  options.emplace_back("--json");
  const ProcessResult result = run.masque("eval", options);
  INFO(result.err);
  REQUIRE(result.code == 0);
  return Json::parse(result.out);
}

std::string refusal(const SmallRun& run, const Arguments& options) {
  const ProcessResult result = run.masque("eval", options);
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  return result.err;
}

TEST_CASE("eval of an AR run is exact", "[eval][cpu]") {
  const SmallRun run("ar");
  const Json json = eval_json(run, {"--data", run.data()});
  CHECK(json["objective"] == "ar");
  CHECK(json["estimator"] == "exact");
  CHECK(json["order"] == "l2r");
  CHECK(json["bound"] == "exact");
  CHECK(json["split"] == "test");
  CHECK(json["checkpoint"] == "step_2");
  CHECK(json["tokens"] == 400);
  CHECK(json["windows"] == 25);
  CHECK(json["window_length"] == 16);
  CHECK(json["draws"] == 0);
  const double nats = json["nats_per_token"];
  CHECK(json["ci95"] == Json({nats, nats}));
  CHECK(json["ci95_text"][0] < nats);
  CHECK(json["ci95_text"][1] > nats);
  CHECK(json["perplexity"].get<double>() == Approx(std::exp(nats)));
  CHECK(json["bits_per_char"].get<double>() == Approx(nats / std::log(2)));
  CHECK(json["accuracy"].is_number());
  CHECK(json["unigram"] > json["bigram"]);
  for (const char* key : {"seed", "seconds"}) CHECK(json[key].is_number());

  const ProcessResult text = run.masque("eval", {"--data", run.data()});
  CHECK_THAT(text.out, Contains("perplexity") && !Contains("≤"));
}

TEST_CASE("eval of an AR run without [START] scores all but the first token", "[eval][cpu]") {
  const SmallRun run("ar", {"start_token=false"});
  const Json json = eval_json(run);
  CHECK(json["tokens"] == 399);
  CHECK(json["window_length"] == 16);
}

TEST_CASE("eval of a LLaDA run is an upper bound", "[eval][cpu]") {
  const SmallRun run("llada");
  const Json json = eval_json(run, {"--draws", "8", "--windows", "5"});
  CHECK(json["estimator"] == "nelbo");
  CHECK(json["bound"] == "upper");
  CHECK(json["order"].is_null());
  CHECK(json["draws"] == 8);
  CHECK(json["windows"] == 5);
  CHECK(json["tokens"] == 80);
  CHECK(json["ci95"][0] < json["nats_per_token"]);
  CHECK(json["ci95"][1] > json["nats_per_token"]);

  CHECK(eval_json(run, {"--draws", "8", "--windows", "5", "--threads", "2"})["nats_per_token"] ==
        json["nats_per_token"]);
  CHECK(eval_json(run, {"--draws", "8", "--windows", "5", "--seed", "2"})["nats_per_token"] !=
        json["nats_per_token"]);
  // One window tells nothing of other texts.
  CHECK(eval_json(run, {"--windows", "1"})["ci95_text"] == Json({nullptr, nullptr}));

  const ProcessResult text = run.masque("eval", {"--windows", "5"});
  CHECK_THAT(text.out, Contains("perplexity      ≤"));
}

TEST_CASE("eval of another text takes all of it", "[eval][cpu]") {
  const SmallRun run("ar");
  const std::string other = run.file("other.txt").string();
  spill(other, Source().generate(100, 2));
  CHECK_THAT(refusal(run, {"--data", other}), Contains("--split all"));
  const Json json = eval_json(run, {"--data", other, "--split", "all"});
  CHECK(json["tokens"] == 100);
  CHECK(json["windows"] == 7);
  CHECK(json["unigram"].is_null());
}

TEST_CASE("eval refuses what it cannot do in one line", "[eval][cpu]") {
  const SmallRun llada("llada"), ar("ar");
  CHECK_THAT(refusal(llada, {"--estimator", "exact"}), Contains("choose nelbo"));
  CHECK_THAT(refusal(ar, {"--estimator", "nelbo"}), Contains("choose exact"));
  CHECK_THAT(refusal(ar, {"--estimator", "elbo"}), Contains("choose exact or nelbo"));
  CHECK_THAT(refusal(llada, {"--draws", "7"}), Contains("even"));
  CHECK_THAT(refusal(ar, {"--draws", "8"}), Contains("leave it out"));
  CHECK_THAT(refusal(llada, {"--split", "dev"}), Contains("train, val, test or all"));
  CHECK_THAT(refusal(llada, {"--batch", "0"}), Contains("--batch 0"));
  CHECK_THAT(refusal(llada, {"--windows", "-1"}), Contains("--windows -1"));
  CHECK_THAT(refusal(llada, {"--checkpoint", "7"}), Contains("best, last, 2"));
}

}  // namespace
}  // namespace masque::test
