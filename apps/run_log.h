// What a run's folder says of its training. Read so that a damaged or half-written run still says
// what it can, and what is wrong with it.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "models/config.h"

namespace masque {

// A line of metrics.jsonl. NaN: not there, or not finite.
struct LogPoint {
  std::int64_t step = 0;
  double tokens = 0, epoch = 0;
  double seconds = 0;  // of training, over all sittings
  double loss =
      std::numeric_limits<double>::quiet_NaN();  // nats a token: exact (AR), nelbo (LLaDA)
};

struct RunLog {
  std::filesystem::path folder;
  std::optional<RunConfig> config;   // nothing where it is damaged
  std::vector<LogPoint> train, val;  // evaluations of these splits, by step
  std::vector<LogPoint> val_ema;     // of val by the averaged weights
  LogPoint last;                     // the newest line
  std::int64_t steps = 0;            // done: logged or saved
  double tokens_per_second = std::numeric_limits<double>::quiet_NaN();  // median of the log's
  std::optional<std::time_t> written;  // when something was last logged
  std::vector<std::string> problems;   // what is wrong, a sentence each

  const LogPoint* best() const;  // the lowest val; null where there is none
  const LogPoint* best_ema() const;
};

// Never fails: what cannot be read is in `problems`.
RunLog read_run_log(const std::filesystem::path& folder);

// Whether a folder looks like a run, if perhaps half a one: it has metrics.jsonl, or config.json
// and environment.json.
bool looks_like_run(const std::filesystem::path& folder);
// The runs at and below `root`, by path: none inside another, nor behind a link or in a hidden
// folder, at most six folders down.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& root);

// What losses of two runs must share to compare: how many windows of how many tokens, "64 x 128",
// and of which text, its characters and cuts, "1,115,394, 0.8/0.1".
std::string val_windows(const RunConfig& config);
std::string val_text(const RunConfig& config);

}  // namespace masque
