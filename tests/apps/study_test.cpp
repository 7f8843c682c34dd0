// masque compare --study: its grid, what is made of it, and its page.
#include "apps/compare/study.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "apps/report/render.h"
#include "apps/report/sections.h"
#include "kernels/backend.h"
#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/compare_results.h"
#include "tests/support/markup.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

using Catch::Contains;
using Json = nlohmann::json;
namespace fs = std::filesystem;

Json study_row(double fraction, int epochs, const char* group, double nats) {
  const bool llada = std::string(group) == "LLaDA";
  return {{"data_fraction", fraction},
          {"epochs", epochs},
          {"group", group},
          {"model", llada ? "llada" : "ar"},
          {"bound", llada ? "upper" : "exact"},
          {"steps", 10 * epochs},
          {"setting", "as the preset"},
          {"settings", 1},
          {"nats", nats},
          {"across_seeds", Json()},
          {"by_seed", {nats}},
          {"ci95_text", {nats - 0.02, nats + 0.02}},
          {"best_val", nats - 0.01},
          {"last_val", nats + 0.05}};
}

// By group: the epochs of its crossing, null where there is none.
std::map<std::string, Json> crossings_of(const Json& rows) {
  std::map<std::string, Json> found;
  for (const Json& crossing : study_crossings(rows)) found[crossing["group"]] = crossing["epochs"];
  return found;
}

TEST_CASE("curves cross where LLaDA lies below to the end of the grid", "[compare][cpu]") {
  Json rows = Json::array();
  const auto add = [&](const char* group, const std::vector<double>& nats) {
    int epochs = 1;
    for (const double value : nats) {
      rows.push_back(study_row(0.1, epochs, group, value));
      epochs *= 4;
    }
  };
  add("LLaDA", {3.0, 2.6, 2.2, 2.1});
  add("halfway", {2.0, 2.0, 2.0, 2.3});  // +0.2 at 16, −0.2 at 64: at 32
  add("above", {2.0, 2.0, 2.0, 2.0});    // never
  add("below", {3.5, 3.5, 3.5, 3.5});    // from the first on
  add("touched", {3.5, 2.0, 2.0, 2.0});  // below at 1 epoch only: no crossing
  add("short", {2.9, 2.7});              // +0.1 at 1, −0.1 at 4: at 2
  const auto crossings = crossings_of(rows);
  CHECK(crossings.size() == 5);
  CHECK(crossings.at("halfway").get<double>() == Approx(32));
  CHECK(crossings.at("above").is_null());
  CHECK(crossings.at("below") == 1);
  CHECK(crossings.at("touched").is_null());
  CHECK(crossings.at("short").get<double>() == Approx(2));
  CHECK(study_crossings(rows)[0]["last"]["epochs"] == 64);
  CHECK(study_crossings(Json::array()).empty());
}

TEST_CASE("a budget drops the costliest cells of a study, and says so", "[compare][cpu]") {
  Plan plan;
  plan.preset = "tiny";
  plan.seeds = {1};
  PlanRequest request;
  request.fractions = {0.1, 1};
  request.epochs = {1, 10};
  add_study_runs(plan, request, 204800);  // 100 steps of tiny
  std::map<std::int64_t, int> by_steps;
  for (const PlannedRun& run : plan.runs) ++by_steps[run.steps];
  CHECK(by_steps == std::map<std::int64_t, int>{{10, 8}, {100, 16}, {1000, 8}});
  CHECK(plan.runs.front().steps == 10);

  const auto seconds = [](const PlannedRun& run) { return static_cast<double>(run.steps); };
  Plan all = plan;
  fit_study(all, seconds, 8 * 1210);
  CHECK(all.runs.size() == 32);
  CHECK(all.left_out.empty());
  fit_study(plan, seconds, 8 * 1209);
  CHECK(plan.runs.size() == 24);
  CHECK(plan.left_out ==
        std::vector<std::string>{"10 epochs of 1 of the text: the budget has no room"});
  CHECK_THROWS_WITH(fit_study(plan, seconds, 79), Contains("no cell of the grid fits"));
}

TEST_CASE("a study trains its grid, and goes on where parts are missing", "[compare][cpu]") {
  const Scratch folder;
  spill(folder / "text.txt", Source().generate(4000, 1));
  const fs::path out = folder / "out";
  std::vector<std::string> words = {
      "compare",  out.string(), "--study",     "--data", (folder / "text.txt").string(),
      "--epochs", "1,2",        "--fractions", "0.5,1",  "--seeds",
      "1,2",      "--set"};
  for (const char* key : {"layers=1", "heads=2", "width=16", "mlp_width=32", "context=16",
                          "batch=4", "eval_windows=4", "eval_draws=2"}) {
    words.emplace_back(key);
  }
  const auto compare = [&](const std::vector<std::string>& arguments) {
    return run_program(MASQUE_BINARY, arguments, {}, "OMP_NUM_THREADS=1");
  };
  const ProcessResult result = compare(words);
  INFO(result.err);
  REQUIRE(result.code == 0);
  const Json results = Json::parse(slurp(out / "results.json"));
  CHECK(results["complete"] == true);
  // Two fractions, two numbers of epochs, two seeds, eight settings.
  CHECK(results["runs"].size() == 2 * 2 * 2 * 8);
  std::map<std::string, double> val;  // by cell and setting, mean of both seeds
  for (const Json& run : results["runs"]) {
    const std::string id = run["id"];
    const bool llada = run["model"] == "llada";
    const std::string cell = id.substr(0, id.find(llada ? "-llada" : "-ar"));
    val[cell + (llada ? " LLaDA " : " AR ") + run["label"].get<std::string>()] +=
        run["best_val"].get<double>() / 2;
  }
  REQUIRE(results["study"].size() == 2 * 2 * 4);
  for (const Json& row : results["study"]) {
    INFO(row.dump());
    const double fraction = row["data_fraction"], epochs = row["epochs"];
    CHECK(row["steps"] == static_cast<int>(50 * fraction * epochs));  // 3,200 tokens, 64 a step
    CHECK(row["by_seed"].size() == 2);
    const std::string group = row["group"];
    CHECK(row["settings"] == (group == "AR regularised" ? 4 : group == "AR masked inputs" ? 2 : 1));
    const std::string cell =
        fmt::format("study-{:g}-{:g} {} ", fraction, epochs, group == "LLaDA" ? "LLaDA" : "AR");
    CHECK(row["best_val"].get<double>() ==
          Approx(val.at(cell + row["setting"].get<std::string>())));
    if (group == "AR masked inputs") {
      for (const char* setting : {"15% of inputs masked", "30% of inputs masked"}) {
        CHECK(row["best_val"].get<double>() <= val.at(cell + setting) + 1e-9);
      }
    }
  }
  CHECK(results["crossings"].size() == 2 * 3);
  const Json config = Json::parse(slurp(out / "runs" / "study-0.5-2-ar-d1-2" / "config.json"));
  CHECK(config["training"]["data_fraction"] == 0.5);
  CHECK(config["training"]["steps"] == 50);
  CHECK(config["model"]["dropout"] == 0.1);
  CHECK_THAT(slurp(out / "report.md"), Contains("# Epochs over little text"));

  const fs::path lost = out / "parts" / "likelihood-study-1-2-llada-1.json";
  const std::string before = slurp(lost);
  fs::remove(lost);
  REQUIRE(compare({"compare", out.string()}).code == 0);
  const auto nats = [](const std::string& part) {
    return Json::parse(part)["estimates"][0]["nats"];
  };
  CHECK(nats(slurp(lost)) == nats(before));
}

TEST_CASE("a setting that diverges is out of the choice of its group, and the study goes on",
          "[compare][cpu]") {
  const Scratch folder;
  spill(folder / "text.txt", Source().generate(4000, 1));
  const std::string out = (folder / "out").string();
  std::vector<std::string> words = {
      "compare",  out, "--study",     "--data", (folder / "text.txt").string(),
      "--epochs", "4", "--fractions", "1",      "--set"};
  // Each step a decay of 1 multiplies the weights by −9, the preset's of 0.1 by 0.
  for (const char* key : {"layers=1", "heads=2", "width=16", "mlp_width=32", "context=16",
                          "batch=4", "eval_windows=4", "eval_draws=2", "lr=10", "warmup=0",
                          "schedule=constant", "save_every=1"}) {
    words.emplace_back(key);
  }
  const ProcessResult result = run_program(MASQUE_BINARY, words, {}, "OMP_NUM_THREADS=1");
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.err, Contains("study-1-4-ar-w1-1 is left out: diverged at step"));
  const Json results = Json::parse(slurp(fs::path(out) / "results.json"));
  CHECK(results["missing"].size() == 2);
  CHECK_THAT(results["missing"][0].get<std::string>(), Contains("diverged at step"));
  std::map<std::string, Json> rows;
  for (const Json& row : results["study"]) rows[row["group"]] = row;
  REQUIRE(rows.size() == 4);
  CHECK(rows["AR regularised"]["settings"] == 4);
  CHECK_THAT(rows["AR regularised"]["setting"].get<std::string>(),
             Catch::Matchers::StartsWith("dropout 0.") && !Contains("decay"));
  CHECK(rows["AR regularised"]["nats"].is_number());
}

TEST_CASE("a study's page has its own sections and states bounds as bounds", "[cpu]") {
  Json results = empty_compare_results();
  results["protocol"]["seeds"] = {1};
  for (const double fraction : {0.1, 1.0}) {
    for (const int epochs : {1, 16}) {
      results["study"].push_back(study_row(fraction, epochs, "LLaDA", epochs == 1 ? 3 : 2.0));
      results["study"].push_back(study_row(fraction, epochs, "AR",
                                           fraction == 1 ? 1.9
                                           : epochs == 1 ? 2.5
                                                         : 2.5));
    }
  }
  results["crossings"] = study_crossings(results["study"]);
  const report::Document document = report::make_document(report::Results(results));
  std::vector<std::string> ids;
  for (const report::Section& section : document.sections) ids.push_back(section.id);
  CHECK(ids == std::vector<std::string>{"reading", "study", "protocol", "missing"});
  REQUIRE(document.answer.size() == 3);
  CHECK_THAT(document.answer[0], Contains("10% of the train split") && Contains("≤\u00a02.0000") &&
                                     Contains("at most −0.5000") &&
                                     Contains("lies below AR from 4 epochs on"));
  CHECK_THAT(document.answer[1], Contains("does not cross AR up to 16 epochs"));
  CHECK_THAT(document.answer[2], Contains("One seed"));
  CHECK(read_markup(to_html(document)).fault.empty());
  CHECK_THAT(to_markdown(document), Contains("| all of the train split | 16 | LLaDA |"));

  results["study"].clear();
  results["crossings"].clear();
  results["runs"].push_back({{"id", "study-1-1-ar-1"},
                             {"model", "ar"},
                             {"role", "study"},
                             {"label", ""},
                             {"seed", 1},
                             {"set", Json::array()},
                             {"steps", 1},
                             {"tokens", 1},
                             {"seconds", 1.0},
                             {"best_step", 1},
                             {"best_val", 3.0},
                             {"tokens_per_second", 1.0},
                             {"curve", Json::array()}});
  const report::Document begun = report::make_document(report::Results(results));
  CHECK_THAT(begun.answer.at(0), Contains("no answer yet"));
  CHECK(begun.sections.at(1).id == "study");
}

}  // namespace
}  // namespace masque::test
