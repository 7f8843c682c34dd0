#include "apps/compare/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/compare/flops.h"
#include "apps/compare/texts.h"
#include "apps/json.h"
#include "apps/training_run.h"
#include "models/checkpoint.h"
#include "models/dataset.h"
#include "models/run.h"
#include "models/trainer.h"

namespace masque {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// Tokens read that bear loss: all of AR's, of LLaDA's those expected to be masked.
double loss_share(const RunConfig& config) {
  if (config.model.objective == ObjectiveKind::ar) return 1;
  return (1 + config.training.epsilon) / 2;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

int train_or_resume(const fs::path& folder, RunConfig config, const CompareText& text,
                    const Device& device) {
  config.model.vocab_size = text.tokenizer.vocab_size();
  config.data = {text.file, text.size()};
  const RunFolder run_folder(folder);
  // What was interrupted before its first checkpoint has nothing worth keeping.
  const bool resume = !run_folder.steps().empty();
  RunLock lock;  // also while what was begun is removed
  if (fs::is_directory(folder)) lock = run_folder.lock();
  if (!resume) {
    fs::remove_all(folder);
    lock = RunLock();
  }
  Trainer trainer(config, text.tokenizer, split_tokens(text.tokens, config.training), device);
  if (resume) {
    const WholeCheckpoint last = run_folder.whole_checkpoint("last", Scope::everything);
    if (!last.note.empty()) fmt::print(stderr, "{}\n", last.note);
    trainer.load(last.folder);
  }
  if (trainer.steps_done() >= config.training.steps) return 0;
  TrainingRun run(run_folder, config, text.tokenizer, trainer, device, TrainingRun::Log::brief);
  if (resume) {
    run.reopen();
  } else {
    run.create();
  }
  return run.go();
}

Json run_facts(const fs::path& folder) {
  const RunFolder run(folder);
  const RunConfig config = load_config(run);
  std::map<std::int64_t, Json> points;  // by step
  std::vector<double> rates;
  Json facts = {{"steps", 0}, {"tokens", 0}, {"seconds", 0.0}};
  double best = INFINITY;
  std::int64_t best_step = 0;
  std::ifstream metrics(run.metrics());
  for (std::string line; std::getline(metrics, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) continue;
    const auto step = json.at("step").get<std::int64_t>();
    const std::string split = json.at("split");
    facts["steps"] = step;
    facts["tokens"] = json.at("tokens");
    facts["seconds"] = json.at("seconds");
    if (split == "train") {
      rates.push_back(json.value("tokens_per_second", 0.0));
      continue;
    }
    if (split != "val" && split != "train_windows") continue;
    const double tokens = json.at("tokens");
    Json& point = points[step];
    point["step"] = step;
    point["tokens"] = json.at("tokens");
    point["loss_tokens"] = tokens * loss_share(config);
    point["epoch"] = json.at("epoch");
    point["flops"] = tokens * training_flops_per_token(config.model);
    point["seconds"] = json.at("seconds");
    point[split == "val" ? "val" : "train"] = json.at("loss");
    if (split == "val" && json.at("loss").is_number() && json.at("loss") < best) {
      best = json.at("loss");
      best_step = step;
    }
  }
  facts["best_step"] = best_step;
  facts["best_val"] = number(best);
  facts["tokens_per_second"] = median(rates);
  Json curve = Json::array();
  for (auto& entry : points) {
    for (const char* key : {"train", "val"}) {
      if (!entry.second.contains(key)) entry.second[key] = nullptr;
    }
    curve.push_back(entry.second);
  }
  facts["curve"] = curve;
  return facts;
}

}  // namespace masque
