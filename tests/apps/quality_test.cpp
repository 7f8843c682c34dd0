// masque quality, as a user runs it.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "models/source.h"
#include "tests/support/small_run.h"

using Catch::Matchers::Contains;

namespace masque::test {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

Arguments joined(const Arguments& first, const Arguments& second) {
  Arguments all = first;
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

Json quality_json(const SmallRun& run, const Arguments& options) {
  return run.json("quality", joined(options, {"--n", "8"}));
}

std::string refusal(const SmallRun& run, const Arguments& options) {
  return run.refusal("quality", options);
}

TEST_CASE("quality has a row a setting, beside real text", "[quality][cpu]") {
  const SmallRun llada("llada"), ar("ar", {"seed=2"}), judge("ar", {"seed=3"});
  const Arguments options = {"--judge", judge.path(), "--steps", "4,16", ar.path()};
  const Json json = quality_json(llada, options);
  CHECK(json["judge"] == judge.path());
  const Json& rows = json["rows"];
  REQUIRE(rows.size() == 3 + 2 * 2 + 1);
  for (const Json& row : rows) {
    CHECK(row["count"] == 8);
    CHECK(row["length"] == 16);
    for (const char* key : {"entropy", "self_bleu", "repetition"}) CHECK(row[key].is_number());
    for (const char* n : {"1", "2", "3", "4"}) CHECK(row["distinct"][n].is_number());
    CHECK(row["judge_source"].is_null());
  }
  const std::vector<std::string> names = {"test text", "val text", "train text"};
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(rows[k]["name"] == names[k]);
    CHECK(rows[k]["kind"] == "real");
    for (const char* key : {"run", "strategy", "steps", "tokens_per_second", "forwards"}) {
      CHECK(rows[k][key].is_null());
    }
  }
  // What a text would be measured by itself for is unknown.
  CHECK(rows[0]["divergence"]["1"].is_null());
  CHECK(rows[1]["judge_kn"].is_null());
  for (const char* key : {"judge_ar", "real_words", "novelty", "longest_copy"}) {
    CHECK(rows[2][key].is_null());
  }
  CHECK(rows[1]["divergence"]["1"].is_number());
  CHECK(rows[0]["judge_ar"].is_number());

  std::vector<std::string> settings;
  for (std::size_t k = 3; k < 7; ++k) {
    CHECK(rows[k]["kind"] == "llada");
    CHECK(rows[k]["run"] == llada.path());
    settings.push_back(rows[k]["strategy"].get<std::string>() + " " + rows[k]["steps"].dump());
    CHECK(rows[k]["forwards"] <= rows[k]["steps"]);
  }
  CHECK(settings ==
        Arguments{"ancestral 4", "ancestral 16", "low_confidence 4", "low_confidence 16"});
  CHECK(rows[7]["kind"] == "ar");
  CHECK(rows[7]["strategy"].is_null());
  CHECK(rows[7]["steps"] == 16);
  CHECK(rows[7]["forwards"] == 16);
  CHECK(rows[7]["tokens_per_forward"] == 1);
  for (std::size_t k = 3; k < 8; ++k) {
    CHECK(rows[k]["temperature"] == 1);
    for (const char* key : {"judge_ar", "judge_kn", "novelty", "longest_copy", "tokens_per_second",
                            "tokens_per_forward"}) {
      CHECK(rows[k][key].is_number());
    }
    CHECK(rows[k]["judge_kn_ci95"][0] < rows[k]["judge_kn"]);
  }

  const Json again = quality_json(llada, joined(options, {"--threads", "2"}));
  CHECK(again["rows"][3]["judge_ar"] == rows[3]["judge_ar"]);
  CHECK(quality_json(llada, joined(options, {"--seed", "2"}))["rows"][3]["judge_kn"] !=
        rows[3]["judge_kn"]);
}

TEST_CASE("quality --ema measures what the average of the weights writes", "[quality][cpu]") {
  const SmallRun run("ar", {"ema=0.5", "lr=0.3", "min_lr=0.3", "warmup=0"});
  const auto written = [&](const Json& json) { return json["rows"].back()["entropy"]; };
  const Json trained = quality_json(run, {}), averaged = quality_json(run, {"--ema"});
  CHECK(trained["ema"] == false);
  CHECK(averaged["ema"] == true);
  CHECK(written(trained) != written(averaged));
}

TEST_CASE("quality never writes a text twice over", "[quality][cpu]") {
  const SmallRun llada("llada");  // hardly trained: its texts share next to nothing
  const ProcessResult result = llada.masque(
      "quality", {"--json", "--n", "40", "--length", "8", "--strategies", "ancestral"});
  REQUIRE(result.code == 0);
  CHECK(Json::parse(result.out)["rows"][3]["distinct"]["4"] > 0.95);
}

TEST_CASE("quality prints a table", "[quality][cpu]") {
  const SmallRun llada("llada");
  const ProcessResult result = llada.masque(
      "quality",
      {"--n", "20", "--length", "8", "--strategies", "ancestral", "--temperature", "0.5"});
  CHECK(result.code == 0);
  CHECK_THAT(result.out, Contains("test text") && Contains("temper") && Contains("ancestral") &&
                             Contains("--judge") && Contains("20 texts of 8 tokens") &&
                             !Contains("AR judge"));
  CHECK_THAT(result.err, Contains("trained on 16 characters"));
}

TEST_CASE("quality of an AR run without [START] cuts off where it began", "[quality][cpu]") {
  const SmallRun ar("ar", {"start_token=false"}), llada("llada");
  CHECK(quality_json(ar, {})["rows"][3]["length"] == 16);
  CHECK(quality_json(llada, {"--judge", ar.path(), "--steps", "4"})["rows"][3]["judge_ar"]
            .is_number());
}

TEST_CASE("quality halves the val of a run whose splits leave no test", "[quality][cpu]") {
  const SmallRun run("llada", {"train_fraction=0.9", "val_fraction=0.1"}), whole("llada");
  const ProcessResult result = run.masque("quality", {"--json", "--n", "12", "--length", "16"});
  REQUIRE(result.code == 0);
  CHECK_THAT(result.err, Contains("no test split (train_fraction 0.9, val_fraction 0.1)"));
  const Json halved = Json::parse(result.out);
  CHECK(halved["val_halved"] == true);
  CHECK(halved["rows"][1]["divergence"]["3"] > 0);  // the halves are two texts
  CHECK_THAT(run.masque("quality", {"--n", "13"}).err,
             Contains("200 tokens") && Contains("at most 12"));
  CHECK(quality_json(whole, {"--steps", "4"})["val_halved"] == false);
}

TEST_CASE("quality parts the sampler from the model by the source", "[quality][cpu]") {
  const SmallRun llada("llada");
  const Json rows = quality_json(
      llada, {"--source", "--oracle", "--strategies", "low_confidence", "--steps", "1,16"})["rows"];
  REQUIRE(rows.size() == 7);
  CHECK(rows[0]["grammatical"] == 1);
  CHECK(rows[0]["judge_source"].is_number());
  CHECK(rows[3]["kind"] == "oracle");
  CHECK(rows[3]["grammatical"] == 0);
  CHECK(rows[3]["judge_source"].is_null());
  CHECK(rows[4]["grammatical"] == 1);
  CHECK(rows[6]["kind"] == "llada");
  CHECK(rows[6]["grammatical"] == 0);  // two steps of training
}

TEST_CASE("quality refuses what it cannot do in one line", "[quality][cpu]") {
  const SmallRun llada("llada"), ar("ar"), copy("ar"), other("ar", {"train_fraction=0.7"});
  CHECK_THAT(refusal(ar, {"--judge", ar.path()}), Contains("one of the runs"));
  CHECK_THAT(refusal(ar, {"--judge", copy.path()}), Contains("another seed"));
  CHECK_THAT(refusal(ar, {"--judge", llada.path(), "--n", "8"}), Contains("no exact likelihood"));
  CHECK_THAT(refusal(llada, {other.path()}), Contains("other splits"));
  CHECK_THAT(refusal(llada, {"--judge", "nowhere"}), Contains("nowhere"));
  CHECK_THAT(refusal(llada, {"--n", "1"}), Contains("--n 1"));
  CHECK_THAT(refusal(llada, {"--n", "26"}),
             Contains("test split has 400 tokens") && Contains("at most 25"));
  CHECK_THAT(refusal(llada, {"--length", "17"}), Contains("1 to 16"));
  CHECK_THAT(refusal(llada, {"--steps", "0"}), Contains("--steps 0"));
  CHECK_THAT(refusal(llada, {"--strategies", "best"}), Contains("ancestral"));
  CHECK_THAT(refusal(llada, {"--temperature", "-1", "--n", "8"}), Contains("temperature is -1"));
  CHECK_THAT(refusal(llada, {"--oracle"}), Contains("--source"));
  const ProcessResult none = run_program(MASQUE_BINARY, {"quality"});
  CHECK(none.code == 2);
  CHECK_THAT(none.err, Contains("no RUN"));

  const std::string text = llada.file("other.txt").string();
  spill(text, Source().generate(3000, 2));
  CHECK_THAT(refusal(llada, {"--data", text}), Contains("3000") && Contains("4000"));
  // As long, of the same characters, but no text of the source.
  std::string shuffled = slurp(llada.data());
  std::reverse(shuffled.begin(), shuffled.end());
  spill(text, shuffled);
  CHECK_THAT(refusal(llada, {"--data", text, "--source", "--n", "8"}),
             Contains("masque data synth"));
}

}  // namespace
}  // namespace masque::test
