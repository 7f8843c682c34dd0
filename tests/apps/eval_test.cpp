// masque eval, as a user runs it.
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "models/source.h"
#include "tests/support/small_run.h"

using Catch::Matchers::Contains;

namespace masque::test {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

Json eval_json(const SmallRun& run, const Arguments& options = {}) {
  return run.json("eval", options);
}

std::string refusal(const SmallRun& run, const Arguments& options) {
  return run.refusal("eval", options);
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

TEST_CASE("eval --ema gives what training logged of the averaged weights", "[eval][cpu]") {
  const SmallRun run("ar", {"ema=0.5", "lr=1e-2", "warmup=0", "eval_windows=7"});
  std::map<std::string, double> logged;  // of the last step
  std::istringstream lines(slurp(run.file("run") / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line);
    logged[json["split"]] = json["loss"];
  }
  const Arguments val = {"--checkpoint", "last", "--split", "val", "--windows", "7"};
  Arguments averaged = val;
  averaged.emplace_back("--ema");
  CHECK(eval_json(run, val)["nats_per_token"] == logged.at("val"));
  CHECK(eval_json(run, val)["ema"] == false);
  CHECK(eval_json(run, averaged)["nats_per_token"] == logged.at("val_ema"));
  CHECK(eval_json(run, averaged)["ema"] == true);
  CHECK(logged.at("val") != logged.at("val_ema"));
  CHECK_THAT(run.masque("eval", {"--ema"}).out, Contains("step_2 averaged, test split"));

  const SmallRun plain("ar");
  CHECK_THAT(refusal(plain, {"--ema"}), Contains("was trained without an EMA of its weights"));
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

TEST_CASE("eval gives both curves", "[eval][cpu]") {
  const SmallRun llada("llada"), ar("ar");
  const Json json = eval_json(llada, {"--draws", "32", "--windows", "5"});
  REQUIRE(json["by_masked"].size() == 16);
  double masked = 0;
  for (int l = 1; l <= 16; ++l) {
    const Json& point = json["by_masked"][static_cast<std::size_t>(l - 1)];
    CHECK(point["masked"] == Json({l, l}));
    CHECK(point["share"] == Approx(l / 16.0));
    masked += point["nats"].get<double>() / 16;
  }
  CHECK(masked == Approx(json["nats_per_token"].get<double>()).margin(0.05));
  REQUIRE(json["by_position"].size() == 16);
  double positions = 0;
  for (const Json& nats : json["by_position"]) positions += nats.get<double>() / 16;
  CHECK(positions == Approx(json["nats_per_token"].get<double>()).epsilon(1e-9));
  CHECK(eval_json(ar)["by_masked"].empty());
  CHECK(eval_json(ar)["by_position"].size() == 16);

  CHECK_THAT(llada.masque("eval", {"--windows", "5"}).out, !Contains("by position"));
  const ProcessResult text = llada.masque("eval", {"--windows", "5", "--curves"});
  CHECK_THAT(text.out, Contains("by tokens masked") && Contains("16 to   16   100%") &&
                           Contains("by position") && Contains("█"));
  CHECK_THAT(ar.masque("eval", {"--windows", "5", "--curves"}).out,
             Contains("by position") && !Contains("by tokens"));
}

TEST_CASE("eval of a LLaDA run in an order is exact", "[eval][cpu]") {
  const SmallRun run("llada");
  const Json l2r = eval_json(run, {"--estimator", "chain", "--order", "l2r", "--windows", "4"});
  CHECK(l2r["estimator"] == "chain");
  CHECK(l2r["order"] == "l2r");
  CHECK(l2r["bound"] == "exact");
  CHECK(l2r["draws"] == 1);
  CHECK(l2r["tokens"] == 64);
  CHECK(l2r["ci95"] == Json({l2r["nats_per_token"], l2r["nats_per_token"]}));
  CHECK(l2r["mixture"].is_null());
  CHECK(l2r["by_masked"].size() == 16);
  CHECK(l2r["accuracy"].is_number());
  for (const char* order : {"max_prob", "margin", "entropy", "r2l"}) {
    const Json json = eval_json(run, {"--estimator", "chain", "--order", order, "--windows", "4"});
    CHECK(json["order"] == order);
    CHECK(json["bound"] == "exact");
    CHECK(json["nats_per_token"] != l2r["nats_per_token"]);
    CHECK(json["nats_per_token"].get<double>() ==
          Approx(l2r["nats_per_token"].get<double>()).epsilon(0.1));
  }

  const Json chain = eval_json(run, {"--estimator", "chain", "--windows", "4"});
  CHECK(chain["order"] == "random");
  CHECK(chain["bound"] == "mean");
  CHECK(chain["draws"] == 4);
  CHECK(chain["ci95"][0] < chain["nats_per_token"]);
  CHECK(chain["ci95"][1] > chain["nats_per_token"]);
  CHECK(chain["mixture"] < chain["nats_per_token"]);
  const Json one = eval_json(run, {"--estimator", "chain", "--draws", "1", "--windows", "4"});
  CHECK(one["bound"] == "exact");

  const Json mixture = eval_json(run, {"--estimator", "mixture", "--draws", "4", "--windows", "4"});
  CHECK(mixture["order"] == "random");
  CHECK(mixture["bound"] == "exact");
  CHECK(mixture["draws"] == 4);
  CHECK(mixture["nats_per_token"] == chain["mixture"]);
  CHECK(mixture["accuracy"].is_null());
  CHECK(mixture["by_masked"].empty());
  CHECK(mixture["by_position"].empty());
  CHECK(eval_json(run, {"--estimator", "mixture", "--windows", "1"})["draws"] == 16);

  const ProcessResult text = run.masque("eval", {"--estimator", "chain", "--windows", "4"});
  CHECK_THAT(text.out, Contains("mean of exact likelihoods") && Contains("mixture") &&
                           Contains("4 random orders") && !Contains("≤"));
}

TEST_CASE("eval says beforehand what a chain of a whole split takes", "[eval][cpu]") {
  const SmallRun run("llada");  // 25 windows of 16
  const ProcessResult whole =
      run.masque("eval", {"--estimator", "mixture", "--draws", "25", "--batch", "400", "--json"});
  CHECK_THAT(whole.err, Contains("25 windows x up to 16 tokens x 25 orders: 10,000 forwards"));
  CHECK(Json::parse(whole.out)["tokens"] == 400);
  const ProcessResult few = run.masque("eval", {"--estimator", "chain", "--order", "l2r"});
  CHECK_THAT(few.err, !Contains("forwards"));
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
  CHECK_THAT(refusal(ar, {"--estimator", "elbo"}),
             Contains("There are exact, nelbo, chain, mixture"));
  CHECK_THAT(refusal(llada, {"--draws", "7"}), Contains("even"));
  CHECK_THAT(refusal(ar, {"--draws", "8"}), Contains("leave it out"));
  CHECK_THAT(refusal(ar, {"--estimator", "chain"}), Contains("choose exact"));
  CHECK_THAT(refusal(ar, {"--order", "l2r"}), Contains("exact takes no order"));
  CHECK_THAT(refusal(llada, {"--order", "random"}), Contains("nelbo takes no order"));
  CHECK_THAT(refusal(llada, {"--estimator", "mixture", "--order", "l2r"}),
             Contains("a mixture is of random orders"));
  CHECK_THAT(refusal(llada, {"--estimator", "mixture", "--curves"}), Contains("has none"));
  CHECK_THAT(refusal(llada, {"--estimator", "chain", "--order", "l2l"}),
             Contains("l2r, r2l, random, max_prob, margin, entropy"));
  CHECK_THAT(refusal(llada, {"--estimator", "chain", "--order", "l2r", "--draws", "4"}),
             Contains("l2r is one order"));
  CHECK_THAT(refusal(llada, {"--estimator", "chain", "--draws", "0"}),
             Contains("at least 1 order"));
  CHECK_THAT(refusal(llada, {"--split", "dev"}), Contains("train, val, test, all"));
  CHECK_THAT(refusal(llada, {"--batch", "0"}), Contains("--batch 0"));
  CHECK_THAT(refusal(llada, {"--windows", "-1"}), Contains("--windows -1"));
  CHECK_THAT(refusal(llada, {"--checkpoint", "7"}), Contains("best, last, 2"));
}

}  // namespace
}  // namespace masque::test
