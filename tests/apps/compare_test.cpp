#include <nlohmann/json.hpp>
#include <set>

#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

using Catch::Contains;
using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kOneThread = "OMP_NUM_THREADS=1";  // work this small is slower on more

// A folder with a text, and comparisons of very small models on it.
class SmallComparison {
 public:
  SmallComparison() { spill(folder_ / "text.txt", Source().generate(4000, 1)); }

  std::string out(const std::string& name = "out") const { return (folder_ / name).string(); }
  std::string text() const { return (folder_ / "text.txt").string(); }

  // masque compare OUT `options`
  ProcessResult compare(std::vector<std::string> options, const std::string& name = "out",
                        const std::string& before = kOneThread) const {
    options.insert(options.begin(), {"compare", out(name)});
    return run_program(MASQUE_BINARY, options, {}, before);
  }
  // Options of a comparison that trains; set: further keys.
  std::vector<std::string> training(const std::vector<std::string>& set = {}) const {
    std::vector<std::string> options = {"--data",  text(), "--preset", "tiny",
                                        "--seeds", "1,2",  "--set"};
    for (const char* key : {"layers=1", "heads=2", "width=16", "mlp_width=32", "context=16",
                            "batch=4", "steps=6", "eval_windows=4", "eval_draws=2"}) {
      options.emplace_back(key);
    }
    options.insert(options.end(), set.begin(), set.end());
    return options;
  }
  Json results(const std::string& name = "out") const {
    return Json::parse(slurp(folder_ / name / "results.json"));
  }
  const Scratch& folder() const { return folder_; }

 private:
  Scratch folder_;
};

std::vector<std::string> with(std::vector<std::string> options,
                              const std::vector<std::string>& more) {
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

// What does not depend on the clock.
Json timeless(Json json) {
  if (json.is_object()) {
    for (const char* key : {"seconds", "tokens_per_second", "started"}) json.erase(key);
  }
  if (json.is_structured()) {
    for (Json& value : json) value = timeless(value);
  }
  return json;
}

const Json& row(const Json& list, const std::string& model, const std::string& estimator,
                std::int64_t windows) {
  for (const Json& entry : list) {
    if (entry["model"] == model && entry["estimator"] == estimator && entry["windows"] == windows) {
      return entry;
    }
  }
  FAIL("no " << model << " " << estimator << " of " << windows << " windows");
  return list;
}

TEST_CASE("compare trains, evaluates, samples and reports", "[compare][cpu]") {
  const SmallComparison small;
  const std::vector<std::string> options =
      with(small.training(), {"--without", "weighting,epsilon,ema,dropout,block,decay"});
  const ProcessResult result = small.compare(options);
  INFO(result.err);
  REQUIRE(result.code == 0);
  const fs::path out = small.out();
  for (const char* file : {"report.html", "report.md", "plan.json"}) CHECK(fs::exists(out / file));

  const Json results = small.results();
  CHECK(results["complete"] == true);
  CHECK(results["protocol"]["seeds"] == Json({1, 2}));
  CHECK(results["data"]["test"] == 400);
  CHECK(results["models"][0]["parameters"] == results["models"][1]["parameters"]);
  // Every estimator stands on the windows of every other: 25 are all there are, so also the
  // chains'.
  for (const char* estimator : {"nelbo", "mixture"}) {
    const Json& entry = row(results["headline"], "llada", estimator, 25);
    CHECK(entry["by_seed"].size() == 2);
    CHECK(entry["across_seeds"][0] <= entry["nats"]);
  }
  CHECK(row(results["headline"], "ar", "exact", 25)["bound"] == "exact");
  CHECK(row(results["headline"], "llada", "nelbo", 25)["bound"] == "upper");
  for (const Json& difference : results["differences"]) {
    for (const Json& paired : difference["paired"]) {
      CHECK(paired["interval"][0] <= paired["nats"]);
      CHECK(paired["interval"][1] >= paired["nats"]);
    }
  }

  std::set<std::string> ids;
  for (const Json& run : results["runs"]) {
    ids.insert(run["id"]);
    CHECK(run["steps"] == 6);
    CHECK_FALSE(run["curve"].empty());
  }
  CHECK(ids == std::set<std::string>{"llada-1", "ar-1", "llada-2", "ar-2", "judge",
                                     "ablation-llada-baseline", "ablation-llada-t-iid",
                                     "ablation-llada-t-batch", "ablation-ar-baseline",
                                     "ablation-ar-input_masking-0.15"});
  std::set<std::string> splits;
  for (const Json& estimate : results["estimates"]) {
    CHECK(ids.count(estimate["run"]) == 1);
    splits.insert(estimate["split"]);
  }
  CHECK(splits == std::set<std::string>{"test", "train"});
  CHECK(results["ablations"].size() == 5);
  for (const Json& ablation : results["ablations"]) {
    CHECK(ablation["difference"].is_null() == ablation["baseline"].get<bool>());
  }
  CHECK(results["quality"].size() > 10);
  for (const Json& generation : results["viewer"]) {
    const std::string last = generation["frames"].back()["text"];
    CHECK(last.size() == 16);
    CHECK(last.find('_') == std::string::npos);
  }

  // Parts that are lost are made again, alike; what is there is not touched.
  for (const char* part : {"likelihood-llada-2", "quality", "run-ablation-llada-t-iid"}) {
    fs::remove(out / "parts" / (std::string(part) + ".json"));
  }
  const auto kept = fs::last_write_time(out / "parts" / "likelihood-llada-1.json");
  const ProcessResult again = small.compare({});
  INFO(again.err);
  REQUIRE(again.code == 0);
  CHECK(timeless(small.results()) == timeless(results));
  CHECK(fs::last_write_time(out / "parts" / "likelihood-llada-1.json") == kept);
  CHECK_THAT(small.compare(with(small.training(), {"--without", "quality"})).err,
             Contains("holds another comparison"));
}

TEST_CASE("compare goes on where it was interrupted", "[compare][cpu]") {
  const SmallComparison small;
  const auto options =
      with(small.training({"steps=2000000000"}), {"--without", "quality,chains,ablations"});
  const ProcessResult stopped =
      small.compare(options, "out", "timeout --preserve-status -s INT 1 env OMP_NUM_THREADS=1");
  INFO(stopped.err);
  CHECK(stopped.code == 130);
  CHECK_THAT(stopped.err, Contains("go on with: masque compare"));
  CHECK(small.results()["complete"] == false);
  CHECK(fs::exists(fs::path(small.out()) / "runs" / "llada-1" / "checkpoints" / "last"));
  CHECK_FALSE(fs::exists(fs::path(small.out()) / "runs" / "ar-1"));
  // Not in another type, which its likelihoods would not be comparable in.
  const ProcessResult other = small.compare({"--dtype", "f64"});
  CHECK(other.code == 2);
  CHECK_THAT(other.err, Contains("this is cpu f64: give --device and --dtype as then"));
}

TEST_CASE("a trial that diverges is left out, and the comparison goes on", "[compare][cpu]") {
  const SmallComparison small;
  // Of AR's three, as if the first had no finite loss on val and the third had diverged.
  const auto options =
      with(small.training(), {"--trials", "3", "--without", "quality,chains,ablations"});
  ProcessResult result = small.compare(options);
  INFO(result.err);
  REQUIRE(result.code == 0);
  // The best is the headline's run, not trained again: it is told in the log, and is the same.
  const Json tried = small.results();
  const std::string chosen = tried["protocol"]["tuned"]["llada"]["setting"];
  std::string trial;
  for (const Json& run : tried["runs"]) {
    if (run["model"] == "llada" && run["role"] == "trial" && run["label"] == chosen)
      trial = run["id"];
  }
  CHECK_THAT(result.err, Contains("taking " + trial + " for llada-1"));
  const fs::path runs = fs::path(small.out()) / "runs";
  CHECK(slurp(runs / trial / "metrics.jsonl") == slurp(runs / "llada-1" / "metrics.jsonl"));
  CHECK(fs::exists(runs / "llada-1" / "checkpoints" / "best" / "model.safetensors"));
  const fs::path parts = fs::path(small.out()) / "parts";
  spill(parts / "run-trial-ar-3.json", R"({"skipped": "diverged at step 3"})");
  Json unknown = Json::parse(slurp(parts / "run-trial-ar-1.json"));
  unknown["best_val"] = nullptr;
  spill(parts / "run-trial-ar-1.json", unknown.dump());
  fs::remove(parts / "tuning.json");
  result = small.compare({});
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(small.results()["protocol"]["tuned"]["ar"]["setting"] == "rate 2e-3");
  CHECK(small.results()["missing"][0] == "trial-ar-3: diverged at step 3");
}

TEST_CASE("compare says its command as a shell reads it, and refuses damaged plans",
          "[compare][cpu]") {
  const SmallComparison small;
  const std::string text = (small.folder() / "my 'own' text.txt").string();
  fs::copy_file(small.text(), text);
  auto options = with(small.training({"steps=2"}), {"--without", "quality,chains,ablations"});
  options[1] = text;
  const ProcessResult result = small.compare(options);
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(small.results()["command"].get<std::string>(), Contains("my '\\''own'\\'' text.txt'"));

  const fs::path file = fs::path(small.out()) / "plan.json";
  const Json plan = Json::parse(slurp(file));
  const auto refusal = [&](const Json& damaged) {
    spill(file, damaged.dump());
    const ProcessResult refused = small.compare({});
    CHECK(refused.code == 2);
    return refused.err;
  };
  Json damaged = plan;
  damaged["runs"] = Json::array();
  CHECK_THAT(refusal(damaged), Contains("is no plan of a comparison (it has no runs)"));
  damaged = plan;
  damaged["runs"][0]["role"] = "king";
  CHECK_THAT(refusal(damaged), Contains("is no plan of a comparison (unknown role 'king')"));
  damaged = plan;
  damaged["runs"][0]["objective"] = "gan";
  CHECK_THAT(refusal(damaged), Contains("is no plan of a comparison (objective gan"));
}

TEST_CASE("compare takes runs that are trained already", "[compare][cpu]") {
  const SmallComparison small;
  for (const auto& [name, objective, seed] :
       {std::tuple{"llada", "llada", "1"}, std::tuple{"ar", "ar", "1"},
        std::tuple{"judge", "ar", "2"}}) {
    std::vector<std::string> words = {"train",   small.out(name), "--objective",
                                      objective, "--seed",        seed};
    const auto training = small.training();
    words.insert(words.end(), training.begin(), training.begin() + 4);  // data, preset
    words.insert(words.end(), training.begin() + 6, training.end());    // keys
    const ProcessResult trained = run_program(MASQUE_BINARY, words, {}, kOneThread);
    INFO(trained.err);
    REQUIRE(trained.code == 0);
  }
  const std::vector<std::string> data = {"--data", small.text()};
  const auto with_judge = with(data, {"--runs", small.out("llada"), small.out("ar"), "--judge",
                                      small.out("judge"), "--without", "chains"});
  const ProcessResult result = small.compare(with_judge);
  INFO(result.err);
  REQUIRE(result.code == 0);
  const Json results = small.results();
  CHECK(results["complete"] == true);
  CHECK(results["runs"].size() == 3);
  CHECK(results["differences"].size() == 1);
  CHECK(results["ablations"].empty());
  CHECK(results["quality"][0]["judge_ar"].is_number());

  const auto refusal = [&](const std::vector<std::string>& more) {
    const ProcessResult refused = small.compare(with(data, more), "other");
    CHECK(refused.code == 2);
    CHECK_FALSE(fs::exists(small.out("other")));
    return refused.err;
  };
  CHECK_THAT(refusal({"--runs", small.out("llada")}), Contains("none is ar"));
  CHECK_THAT(refusal({"--runs", small.out("llada"), small.out("ar"), "--judge", small.out("ar")}),
             Contains("is one of the compared runs"));
  CHECK_THAT(
      refusal({"--runs", small.out("llada"), small.out("ar"), "--judge", small.out("ar") + "/"}),
      Contains("is one of the compared runs"));
  fs::copy(small.out("ar"), small.out("copy"),
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  CHECK_THAT(refusal({"--runs", small.out("llada"), small.out("ar"), "--judge", small.out("copy")}),
             Contains("has the model and the seed (1)"));
  CHECK_THAT(
      refusal({"--runs", small.out("llada"), small.out("ar"), "--judge", small.out("llada")}),
      Contains("give an ar run"));
  CHECK_THAT(refusal({"--runs", small.out("ar"), small.out("ar"), small.out("llada")}),
             Contains("a second ar run of seed 1"));
  CHECK_THAT(refusal({"--runs", small.out("ar"), small.out("llada"), "--preset", "tiny"}),
             Contains("leave out --preset"));
  const std::string shorter = (small.folder() / "shorter.txt").string();
  spill(shorter, Source().generate(3000, 1));
  CHECK_THAT(
      small.compare({"--data", shorter, "--runs", small.out("ar"), small.out("llada")}, "other")
          .err,
      Contains("was trained on a text of 4000 characters"));
}

TEST_CASE("compare refuses what it cannot do in one line", "[compare][cpu]") {
  const SmallComparison small;
  const auto refusal = [&](const std::vector<std::string>& options) {
    const ProcessResult refused = small.compare(options);
    CHECK(refused.code == 2);
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
    CHECK_FALSE(fs::exists(small.out()));
    return refused.err;
  };
  const std::vector<std::string> data = {"--data", small.text(), "--preset", "tiny"};
  CHECK_THAT(refusal({}), Contains("--data is missing"));
  CHECK_THAT(refusal(with(data, {"--budget", "soon"})), Contains("such as 90s, 15m"));
  CHECK_THAT(refusal(with(data, {"--budget", "15"})), Contains("--budget 15"));
  CHECK_THAT(refusal(with(data, {"--budget", "1e20h"})), Contains("at most a year"));
  CHECK_THAT(refusal({"--data", small.text(), "--preset", "nanogpt-cpu"}),
             Contains("--preset nanogpt-cpu: trains AR without [START]"));
  CHECK_THAT(refusal(with(data, {"--set", "start_token=false"})),
             Contains("add --set start_token=true"));
  CHECK_THAT(refusal(with(data, {"--seeds", "1,1"})), Contains("each once"));
  CHECK_THAT(refusal(with(data, {"--trials", "99"})), Contains("--trials 99"));
  CHECK_THAT(refusal(with(data, {"--without", "chain"})), Contains("did you mean chains"));
  CHECK_THAT(refusal(with(data, {"--judge", "x"})), Contains("with --runs only"));
  CHECK_THAT(refusal({"--data", small.text(), "--preset", "tini"}), Contains("did you mean tiny"));
  CHECK_THAT(refusal(with(data, {"--set", "dropout=2"})), Contains("dropout"));
  const std::vector<std::string> study = with(data, {"--study"});
  CHECK_THAT(refusal(with(study, {"--trials", "2"})), Contains("leave out --runs, --trials"));
  CHECK_THAT(refusal(with(data, {"--epochs", "2"})), Contains("are of the grid of --study"));
  CHECK_THAT(refusal(with(study, {"--epochs", "2,2"})), Contains("--epochs 2,2"));
  CHECK_THAT(refusal(with(study, {"--fractions", "1.5"})), Contains("--fractions 1.5"));
  CHECK_THAT(refusal(with(study, {"--fractions", "0.2,0.3,0.4,0.5,0.6,0.7,0.8"})),
             Contains("give at most 6"));
  CHECK_THAT(refusal(with(study, {"--fractions", "0.001,1"})),
             Contains("is 3 of 3200 tokens, fewer than a window of 64"));
  fs::create_directories(small.out());
  spill(small.folder() / "out" / "notes.txt", "mine");
  CHECK_THAT(small.compare(data).err, Contains("holds no comparison"));
  CHECK(slurp(small.folder() / "out" / "notes.txt") == "mine");
}

}  // namespace
}  // namespace masque::test
