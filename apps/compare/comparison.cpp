#include "apps/compare/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/common.h"
#include "apps/compare/interrupt.h"
#include "apps/compare/likelihoods.h"
#include "apps/compare/results.h"
#include "apps/compare/training.h"
#include "apps/compare/writing.h"
#include "apps/json.h"
#include "apps/quality_rows.h"
#include "apps/training_run.h"
#include "apps/weights.h"
#include "models/files.h"
#include "models/run.h"

namespace masque {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr double kThresholds[] = {0.3, 0.5, 0.7, 0.9};  // of the strategy threshold
constexpr const char* kClock = "clock";                 // {"started", "seconds"}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Ablations are many, and paired on the same masks: a quarter of the draws will do.
std::int64_t ablation_draws(std::int64_t draws) {
  return std::max<std::int64_t>(2, draws / 8 * 2);
}

// describe(device); of a CPU only its type: "cpu f32".
std::string place_of(const std::string& device) {
  if (device.rfind("cpu ", 0) != 0) return device;
  const std::string type = device.substr(0, device.find(','));
  return "cpu" + type.substr(type.rfind(' '));
}

// Of everything that makes a run what it is, but its seed and where the text lies. FNV-1a.
std::string config_hash(Json config) {
  config.at("training").erase("seed");
  config.at("data").erase("file");
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char character : config.dump()) {
    hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001b3;
  }
  return fmt::format("{:016x}", hash).substr(0, 8);
}

// A whole copy or none; what is there is left alone.
void copy_run(const fs::path& from, const fs::path& to) {
  if (fs::exists(to)) return;
  fs::path part = to;
  part += ".part";
  fs::remove_all(part);
  fs::copy(from, part, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::rename(part, to);
}

}  // namespace

Comparison::Comparison(fs::path folder, Plan plan, Device device)
    : folder_(std::move(folder)),
      plan_(std::move(plan)),
      device_(device),
      parts_(folder_ / "parts"),
      texts_(plan_),
      started_(now()) {
  const Json clock = parts_.read(kClock);
  if (!clock.is_null()) seconds_before_ = clock.at("seconds");
  require_same_setting();
}

double Comparison::seconds() const {
  return seconds_before_ + now() - started_;
}

bool Comparison::out_of_time() const {
  return plan_.budget_seconds > 0 && seconds() > plan_.budget_seconds;
}

fs::path Comparison::folder_of(const PlannedRun& run) const {
  return run.given ? fs::path(run.folder) : folder_ / run.folder;
}

std::vector<std::string> Comparison::tuned(ObjectiveKind objective) const {
  const Json tuning = parts_.read(kTuning);
  if (!tuning.contains(name_of(objective))) return {};  // no trials, or none that went well
  return tuning.at(name_of(objective)).at("set");
}

Run Comparison::open(const PlannedRun& run) const {
  return load_run(folder_of(run).string(), WeightsChoice{.ema = run.weights == "ema"}, device_);
}

template <class Make>
void Comparison::part(const std::string& name, const std::string& what, Make&& make) {
  if (parts_.has(name)) return;
  stop_if_interrupted();
  if (!what.empty()) fmt::print(stderr, "[{}] {}\n", duration(seconds()), what);
  parts_.write(name, make());
  write_results();
}

void Comparison::write_results() {
  Json clock = parts_.read(kClock);
  if (clock.is_null()) clock = {{"started", utc(std::time(nullptr))}};
  clock["seconds"] = seconds();
  parts_.write(kClock, clock);
  if (!parts_.has(kSetting)) return;
  Json results = make_results(plan_, parts_);
  results["started"] = clock.at("started");
  results["seconds"] = clock.at("seconds");
  write_file(folder_ / "results.json", results.dump(1) + "\n");
}

// What was begun on one device and in one type is not gone on with in another: its likelihoods
// would not be comparable. Another number of threads, or another CPU, is no matter.
void Comparison::require_same_setting() const {
  const Json& setting = parts_.read(kSetting);
  if (!setting.contains("environment") || missing_parts(plan_, parts_).empty()) return;
  const std::string then = place_of(setting.at("environment").value("device", ""));
  const std::string now = place_of(describe(device_));
  if (then.empty() || then == now) return;
  throw InputError(
      fmt::format("{} was begun on {}, and this is {}: give --device and --dtype as then",
                  folder_.string(), then, now));
}

void Comparison::setting() {
  part(kSetting, "", [&] { return setting_of(plan_, texts_, device_); });
}

// The trial that was chosen is the headline's run of its seed, trained already. Null where none is.
const PlannedRun* Comparison::trial_of(const PlannedRun& run) const {
  if (run.role != RunRole::headline || !parts_.read(kTuning).contains(name_of(run.objective))) {
    return nullptr;
  }
  const Json config = to_json(config_of(plan_, run, tuned(run.objective)));
  const auto found = std::find_if(plan_.runs.begin(), plan_.runs.end(), [&](const auto& trial) {
    return trial.role == RunRole::trial && trial.objective == run.objective &&
           to_json(config_of(plan_, trial, {})) == config;
  });
  return found == plan_.runs.end() ? nullptr : &*found;
}

void Comparison::train(const PlannedRun& run) {
  const std::vector<std::string> keys =
      run.role == RunRole::headline || run.role == RunRole::ablation ? tuned(run.objective)
                                                                     : std::vector<std::string>{};
  const PlannedRun* const trial = trial_of(run);
  const std::string what =
      run.given ? fmt::format("reading {}", run.folder)
      : trial   ? fmt::format("taking {} for {}", trial->id, run.id)
                : fmt::format("training {}, {} steps{}", run.id, run.steps,
                            run.setting.empty() ? "" : fmt::format(": {}", run.setting));
  part(run_part(run), what, [&] {
    if (trial != nullptr) copy_run(folder_of(*trial), folder_of(run));
    if (!run.given) {
      try {
        const int code =
            train_or_resume(folder_of(run), config_of(plan_, run, keys), texts_.text, device_);
        if (code != 0) throw Interrupted{code - 128};
      } catch (const Diverged& diverged) {
        // Of the others one may fail: it says so in `missing`.
        if (run.role == RunRole::headline || run.role == RunRole::judge) throw;
        fmt::print(stderr, "{} is left out: {}\n", run.id, diverged.what());
        return Json{{"skipped", diverged.what()}, {"diverged", true}};
      }
    }
    const RunConfig config = load_config(RunFolder(folder_of(run)));
    Json facts = run_facts(folder_of(run), config);
    if (facts.at("best_val").is_null() &&
        (run.role == RunRole::ablation || run.role == RunRole::study)) {
      return Json{{"skipped", "diverged: its loss on val was never finite"}, {"diverged", true}};
    }
    facts["id"] = run.id;
    facts["model"] = name_of(run.objective);
    facts["seed"] = run.seed;
    facts["role"] = name_of(run.role);
    facts["label"] = run.setting;
    facts["set"] = run.set;
    facts["config"] = to_json(config);
    facts["config_hash"] = config_hash(to_json(config));
    facts["parameters"] = Transformer::parameter_count(config.model);
    return facts;
  });
}

void Comparison::trials() {
  std::map<std::string, Json> best;  // by objective
  for (const PlannedRun& run : plan_.runs) {
    if (run.role != RunRole::trial) continue;
    train(run);
    const Json facts = parts_.read(run_part(run));
    // A trial that diverged, or has no finite loss on val, wins nothing.
    if (!facts.contains("best_val") || !facts.at("best_val").is_number()) continue;
    Json& chosen = best[name_of(run.objective)];
    if (chosen.is_null() || facts.at("best_val") < chosen.at("best_val")) {
      chosen = {{"set", run.set}, {"setting", run.setting}, {"best_val", facts.at("best_val")}};
    }
  }
  if (!best.empty()) {
    part(kTuning, "", [&] { return Json(best); });
  }
}

void Comparison::order() {
  if (plan_.evaluation.chain_windows == 0) return;
  part(kOrder, "choosing an order for chains, on val", [&] {
    const auto llada = std::find_if(plan_.runs.begin(), plan_.runs.end(), [](const auto& run) {
      return run.role == RunRole::headline && run.objective == ObjectiveKind::llada;
    });
    Run run = open(*llada);
    return best_orders(run, texts_.val);
  });
}

void Comparison::likelihoods(const PlannedRun& run) {
  part(likelihood_part(run), fmt::format("likelihood of {}", run.id), [&] {
    Run opened = open(run);
    if (run.role != RunRole::headline) {
      EvaluationPlan fewer = plan_.evaluation;
      if (run.role == RunRole::ablation) fewer.draws = ablation_draws(fewer.draws);
      return measure_likelihoods(opened, texts_.test, fewer, "");
    }
    const Json order = parts_.read(kOrder);
    Json measured = measure_likelihoods(opened, texts_.test, plan_.evaluation,
                                        order.is_null() ? Json("") : order.at("order"));
    const Json train = measure_likelihoods(opened, texts_.train, plan_.evaluation, "");
    for (const Json& estimate : train.at("estimates")) {
      measured.at("estimates").push_back(estimate);
    }
    return measured;
  });
}

void Comparison::quality() {
  if (plan_.evaluation.texts == 0) return;
  part(kQuality, "samples and their quality", [&] {
    const auto first = [&](RunRole role, ObjectiveKind objective) {
      return std::find_if(plan_.runs.begin(), plan_.runs.end(), [&](const PlannedRun& run) {
        return run.role == role && run.objective == objective;
      });
    };
    const PlannedRun& llada = *first(RunRole::headline, ObjectiveKind::llada);
    const PlannedRun& ar = *first(RunRole::headline, ObjectiveKind::ar);
    const auto judge = first(RunRole::judge, ObjectiveKind::ar);
    Run llada_run = open(llada), ar_run = open(ar);
    std::optional<Run> judge_run;
    QualityMeasure::Options options;
    options.count = plan_.evaluation.texts;
    options.length = llada_run.config.model.context;
    options.progress = [](std::int64_t /*texts*/) { stop_if_interrupted(); };
    if (judge != plan_.runs.end()) options.judge = &judge_run.emplace(open(*judge));
    const QualityMeasure measure(texts_.text.tokenizer, texts_.splits, options);
    Json rows = Json::array();
    const auto add = [&](QualityRow row, const std::string& name, const std::string& id) {
      row.name = name;
      row.run = id;
      rows.push_back(Json(to_json(row)));
    };
    for (const QualityRow& row : measure.real_rows()) add(row, row.name, "");
    add(measure.row(ar_run, {}), "AR", ar.id);
    for (const std::string& strategy : plan_.evaluation.strategies) {
      SampleOptions how;
      how.strategy = strategy;
      if (strategy == "threshold") {  // decides itself how many steps it takes
        for (const double threshold : kThresholds) {
          how.of_strategy.threshold = threshold;
          QualityRow row = measure.row(llada_run, how);
          row.steps.reset();
          add(row, fmt::format("LLaDA threshold {:g}", threshold), llada.id);
        }
        continue;
      }
      for (const std::int64_t steps : plan_.evaluation.steps) {
        how.steps = steps;
        add(measure.row(llada_run, how), fmt::format("LLaDA {}, {} steps", strategy, steps),
            llada.id);
      }
    }
    const WritingTask task{texts_.splits.test};
    Json samples = sample_rows(ar_run, ar.id, task);
    for (const Json& sample : sample_rows(llada_run, llada.id, task)) samples.push_back(sample);
    Json viewer = viewer_rows(llada_run, llada.id, task);
    for (const Json& generation : viewer_rows(ar_run, ar.id, task)) {
      viewer.push_back(generation);
    }
    return Json{{"quality", rows}, {"samples", samples}, {"viewer", viewer}};
  });
}

void Comparison::train_and_score(const PlannedRun& run) {
  if (out_of_time() && !parts_.has(run_part(run))) {
    const Json skipped = {{"skipped", "the budget was spent"}};
    parts_.write(run_part(run), skipped);
    parts_.write(likelihood_part(run), skipped);
    write_results();
    return;
  }
  train(run);
  const Json& trained = parts_.read(run_part(run));
  if (trained.contains("skipped")) {
    if (!parts_.has(likelihood_part(run))) {
      parts_.write(likelihood_part(run), trained);
      write_results();
    }
    return;
  }
  likelihoods(run);
}

int Comparison::go() {
  catch_interrupts();
  const auto each = [&](RunRole role, auto&& make) {
    for (const PlannedRun& run : plan_.runs) {
      if (run.role == role) make(run);
    }
  };
  try {
    setting();
    trials();
    each(RunRole::headline, [&](const PlannedRun& run) { train(run); });
    order();
    each(RunRole::headline, [&](const PlannedRun& run) { likelihoods(run); });
    each(RunRole::judge, [&](const PlannedRun& run) { train(run); });
    quality();
    each(RunRole::ablation, [&](const PlannedRun& run) { train_and_score(run); });
    each(RunRole::study, [&](const PlannedRun& run) { train_and_score(run); });
  } catch (const Interrupted& interrupted) {
    write_results();
    return 128 + interrupted.signal;
  }
  write_results();
  return 0;
}

}  // namespace masque
