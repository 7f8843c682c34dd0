#include "apps/compare/training.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/compare/flops.h"
#include "apps/compare/texts.h"
#include "apps/json.h"
#include "apps/run_log.h"
#include "apps/training_run.h"
#include "models/checkpoint.h"
#include "models/dataset.h"
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

std::int64_t whole(double tokens) {
  return std::isfinite(tokens) ? std::llround(tokens) : 0;
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

Json run_facts(const fs::path& folder, const RunConfig& config) {
  const RunLog log = read_run_log(folder);
  std::map<std::int64_t, Json> points;  // by step
  const auto add = [&](const std::vector<LogPoint>& of_split, const char* split) {
    for (const LogPoint& at : of_split) {
      auto& point =
          points
              .try_emplace(at.step,
                           Json{{"step", at.step},
                                {"tokens", whole(at.tokens)},
                                {"loss_tokens", at.tokens * loss_share(config)},
                                {"epoch", number(at.epoch)},
                                {"flops", at.tokens * training_flops_per_token(config.model)},
                                {"seconds", number(at.seconds)},
                                {"train", nullptr},
                                {"val", nullptr}})
              .first->second;
      point[split] = number(at.loss);
    }
  };
  add(log.train, "train");
  add(log.val, "val");
  Json curve = Json::array();
  for (const auto& entry : points) curve.push_back(entry.second);
  const LogPoint* best = log.best();
  return {{"steps", log.last.step},
          {"tokens", whole(log.last.tokens)},
          {"seconds", number(log.last.seconds)},
          {"best_step", best == nullptr ? 0 : best->step},
          {"best_val", best == nullptr ? Json() : Json(best->loss)},
          {"tokens_per_second", number(log.tokens_per_second)},
          {"curve", curve}};
}

}  // namespace masque
