// masque sample, as a user runs it.
#include <nlohmann/json.hpp>

#include "models/utf8.h"
#include "tests/support/small_run.h"

using Catch::Matchers::Contains;

namespace masque::test {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

Json sample_json(const SmallRun& run, const Arguments& options = {}) {
  return run.json("sample", options);
}

std::string text_of(const Json& json, std::size_t index = 0) {
  return json["samples"][index]["text"];
}

std::string refusal(const SmallRun& run, const Arguments& options) {
  return run.refusal("sample", options);
}

TEST_CASE("sample continues a prompt, with either objective", "[sample][cpu]") {
  for (const std::string objective : {"llada", "ar"}) {
    const SmallRun run(objective);
    const Json json = sample_json(run, {"--prompt", "the ", "--n", "3"});
    CHECK(json["seed"] == 1);
    REQUIRE(json["samples"].size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(text_of(json, i).substr(0, 4) == "the ");
      CHECK(decode_utf8(text_of(json, i)).size() == 16);
      CHECK(json["samples"][i]["ids"].size() == 16);
      CHECK(json["samples"][i]["forwards"] == 12);
    }
    CHECK(text_of(json, 0) != text_of(json, 1));
    CHECK(text_of(sample_json(run, {"--prompt", "the ", "--threads", "2"})) == text_of(json));
    CHECK(text_of(sample_json(run, {"--prompt", "the ", "--seed", "2"})) != text_of(json));
    CHECK(text_of(sample_json(run, {"--prompt", "the ", "--length", "7"})).size() == 7);
    CHECK(text_of(sample_json(run, {"--prompt", "the king and the"})) == "the king and the");
  }
}

TEST_CASE("--ema writes by the average of the weights", "[sample][cpu]") {
  // Weights that never moved are their own average.
  const SmallRun still("llada", {"ema=0.5", "lr=0", "min_lr=0"});
  CHECK(text_of(sample_json(still, {"--ema"})) == text_of(sample_json(still)));
  const SmallRun run("llada", {"ema=0.5", "lr=0.3", "min_lr=0.3", "warmup=0"});
  const std::string page = run.file("page.html").string();
  const ProcessResult averaged = run.masque("sample", {"--ema", "--html", page});
  CHECK(averaged.code == 0);
  CHECK(averaged.out != run.masque("sample").out);
  CHECK_THAT(slurp(page), Contains("step_2 averaged"));
  const SmallRun plain("ar");
  CHECK_THAT(refusal(plain, {"--ema"}), Contains("was trained without an EMA of its weights"));
}

TEST_CASE("sample fills the blanks of a template", "[sample][cpu]") {
  const SmallRun run("llada");
  for (const std::string strategy : {"ancestral", "low_confidence"}) {
    const Json json =
        sample_json(run, {"--template", "the _ and __", "--strategy", strategy, "--steps", "2"});
    const std::string text = text_of(json);
    CHECK(json["strategy"] == strategy);
    CHECK(json["steps"] == 2);
    CHECK(text.substr(0, 4) == "the ");
    CHECK(text.substr(5, 5) == " and ");
    CHECK_THAT(text, !Contains("_"));
    CHECK(text.size() == 12);
  }
  CHECK(text_of(sample_json(run, {"--template", "a_b", "--length", "9"})).size() == 9);
}

TEST_CASE("sample has every strategy, and says with what settings", "[sample][cpu]") {
  const SmallRun run("llada");
  for (const std::string strategy : {"ancestral", "random", "low_confidence", "max_prob", "margin",
                                     "entropy", "threshold", "remask"}) {
    CAPTURE(strategy);
    const Json json = sample_json(run, {"--prompt", "the ", "--strategy", strategy, "--steps", "5",
                                        "--block-length", "8", "--n", "2", "--top-k", "9"});
    CHECK(json["strategy"] == strategy);
    CHECK(json["steps"] == 5);
    CHECK(json["block_length"] == 8);
    CHECK(json["temperature"] == 1);
    CHECK(json["top_k"] == 9);
    CHECK(json["top_p"] == 1);
    CHECK(json["cfg"] == 0);
    CHECK(json["threshold"] == (strategy == "threshold" ? Json(0.9) : Json(nullptr)));
    CHECK(json["remask_share"] == (strategy == "remask" ? Json(0.1) : Json(nullptr)));
    REQUIRE(json["samples"].size() == 2);
    for (const Json& sample : json["samples"]) {
      const double forwards = sample["forwards"];
      CHECK(forwards >= 2);
      CHECK(forwards <= 5);
      CHECK(sample["tokens_per_forward"] == 12 / forwards);
      CHECK(sample["text"].get<std::string>().substr(0, 4) == "the ");
      CHECK(decode_utf8(sample["text"].get<std::string>()).size() == 16);
    }
  }
}

TEST_CASE("sample's flags reach the sampler", "[sample][cpu]") {
  const SmallRun run("llada");
  const auto forwards = [&](Arguments options) {
    options.insert(options.end(), {"--prompt", "the "});
    return sample_json(run, options)["samples"][0]["forwards"].get<int>();
  };
  CHECK(forwards({"--strategy", "threshold", "--threshold", "0"}) == 1);
  CHECK(forwards({"--strategy", "threshold", "--threshold", "0", "--block-length", "4"}) == 3);
  CHECK(forwards({"--strategy", "threshold", "--threshold", "1"}) == 12);
  CHECK(forwards({"--strategy", "remask", "--remask-share", "0", "--steps", "20"}) == 12);
  CHECK(forwards({"--strategy", "remask", "--remask-share", "1", "--steps", "20"}) == 20);
  CHECK(forwards({"--cfg", "0", "--steps", "4"}) == 4);
  CHECK(forwards({"--cfg", "1.5", "--steps", "4"}) == 8);
  const auto text = [&](Arguments options) {
    options.insert(options.end(), {"--prompt", "the ", "--steps", "12"});
    return text_of(sample_json(run, options));
  };
  CHECK(text({"--cfg", "0"}) == text({}));
  CHECK(text({"--block-length", "16"}) == text({}));
  CHECK(text({"--strategy", "remask", "--remask-share", "0"}) == text({}));
  CHECK(text({"--cfg", "8"}) != text({}));
  CHECK(text({"--block-length", "1"}) != text({}));
}

TEST_CASE("sample prints texts with a rule between, and the rest on stderr", "[sample][cpu]") {
  const SmallRun run("llada");
  const ProcessResult result =
      run.masque("sample", {"--n", "2", "--length", "5", "--steps", "5", "--watch"});
  CHECK(result.code == 0);
  CHECK_THAT(result.out, Contains("\n----") && !Contains("step"));
  CHECK_THAT(result.err, Contains("step 5\n") && Contains("tokens/s") && Contains("trained on"));
}

TEST_CASE("sample without [START] begins from a prompt or a line break", "[sample][cpu]") {
  const SmallRun run("ar", {"start_token=false"});
  CHECK(text_of(sample_json(run)).front() == '\n');
  CHECK(text_of(sample_json(run)).size() == 16);
  CHECK(text_of(sample_json(run, {"--prompt", "the"})).substr(0, 3) == "the");
}

TEST_CASE("sample refuses what it cannot do in one line", "[sample][cpu]") {
  const SmallRun llada("llada"), ar("ar");
  CHECK_THAT(refusal(llada, {"--prompt", "the king and the king "}),
             Contains("22") && Contains("16"));
  CHECK_THAT(refusal(llada, {"--template", "the king and the ____"}),
             Contains("21") && Contains("16"));
  CHECK_THAT(refusal(llada, {"--prompt", "the king", "--length", "3"}), Contains("8 characters"));
  CHECK_THAT(refusal(llada, {"--length", "17"}), Contains("1 to 16"));
  CHECK_THAT(refusal(llada, {"--template", "th\u00e9 _"}), Contains("position 2"));
  CHECK_THAT(refusal(llada, {"--prompt", "a", "--template", "b_"}), Contains("exclude each other"));
  CHECK_THAT(refusal(llada, {"--steps", "0"}), Contains("--steps 0"));
  CHECK_THAT(refusal(llada, {"--n", "0"}), Contains("--n 0"));
  CHECK_THAT(refusal(llada, {"--strategy", "best"}), Contains("there are ancestral, random, low_"));
  CHECK_THAT(refusal(llada, {"--temperature", "-1"}), Contains("temperature is -1"));
  CHECK_THAT(refusal(llada, {"--top-p", "1.5"}), Contains("top-p is 1.5"));
  CHECK_THAT(refusal(ar, {"--template", "a_b"}), Contains("cannot fill blanks"));
  CHECK_THAT(refusal(ar, {"--steps", "4", "--cfg", "1"}),
             Contains("one token a step, left to right: leave out --steps, --cfg\n"));
  CHECK_THAT(refusal(ar, {"--strategy", "threshold", "--threshold", "0.5", "--block-length", "2"}),
             Contains("leave out --strategy, --block-length, --threshold\n"));
}

TEST_CASE("sample refuses settings of another strategy or out of range", "[sample][cpu]") {
  const SmallRun llada("llada");
  CHECK_THAT(refusal(llada, {"--threshold", "0.5"}),
             Contains("--threshold 0.5 is of another strategy than low_confidence: "
                      "give --strategy threshold with it"));
  CHECK_THAT(refusal(llada, {"--strategy", "threshold", "--remask-share", "0.5"}),
             Contains("--remask-share 0.5") && Contains("give --strategy remask"));
  CHECK_THAT(refusal(llada, {"--strategy", "threshold", "--threshold", "1.5"}),
             Contains("threshold is 1.5: give a share from 0 to 1"));
  CHECK_THAT(refusal(llada, {"--strategy", "remask", "--remask-share", "-1"}),
             Contains("remask share is -1"));
  CHECK_THAT(refusal(llada, {"--block-length", "0"}), Contains("--block-length 0"));
  CHECK_THAT(refusal(llada, {"--block-length", "4", "--steps", "3"}),
             Contains("steps is 3 and 4 blocks of length 4"));
  CHECK_THAT(refusal(llada, {"--prompt", "the ", "--cfg", "-1"}), Contains("cfg) is -1"));
  CHECK_THAT(refusal(llada, {"--cfg", "1"}), Contains("give a prompt or a template"));
}

}  // namespace
}  // namespace masque::test
