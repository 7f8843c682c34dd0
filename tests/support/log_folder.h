// The folder of a run that was never trained: its configuration, environment and log.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "models/config.h"
#include "tests/support/scratch.h"

namespace masque::test {

struct LoggedEvaluation {
  std::int64_t step = 0;
  double train = 0, val = 0;
};

// Of 100 tokens and 0.1 s a step; before each evaluation a line of its step at 1000 + step tokens a
// second.
inline std::filesystem::path log_folder(const std::filesystem::path& folder,
                                        ObjectiveKind objective, std::int64_t steps,
                                        const std::vector<LoggedEvaluation>& evaluations) {
  std::filesystem::create_directories(folder);
  RunConfig config;
  config.model.objective = objective;
  config.model.vocab_size = 69;
  config.training.steps = steps;
  config.data = {"/somewhere/text.txt", 100000};
  spill(folder / "config.json", to_json(resolve(config)).dump(2));
  spill(folder / "environment.json", "{}");
  std::string log;
  for (const LoggedEvaluation& evaluation : evaluations) {
    nlohmann::json line = {{"step", evaluation.step},
                           {"tokens", 100 * evaluation.step},
                           {"epoch", 0.001 * static_cast<double>(evaluation.step)},
                           {"seconds", 0.1 * static_cast<double>(evaluation.step)}};
    const auto add = [&](const char* split, double loss) {
      line["split"] = split;
      line["loss"] = loss;
      log += line.dump() + "\n";
    };
    line["tokens_per_second"] = 1000 + evaluation.step;
    add("train", evaluation.train + 0.1);
    line.erase("tokens_per_second");
    add("train_windows", evaluation.train);
    add("val", evaluation.val);
  }
  spill(folder / "metrics.jsonl", log);
  return folder;
}

}  // namespace masque::test
