#include "apps/run_log.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "apps/common.h"

namespace masque {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr int kDepth = 6;  // folders below the one searched

double number_at(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>()
                                                   : std::numeric_limits<double>::quiet_NaN();
}

double median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Lines into a log. Runs of before seconds went on over sittings began each at 0 again.
class Reader {
 public:
  explicit Reader(RunLog& log) : log_(log) {}

  // False where the line says nothing.
  bool read(const std::string& text) {
    const Json line = Json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number_integer() ||
        !line.contains("split") || !line["split"].is_string()) {
      return false;
    }
    LogPoint point{line["step"], number_at(line, "tokens"), number_at(line, "epoch"),
                   number_at(line, "seconds"), number_at(line, "loss")};
    if (point.seconds < sitting_) before_ += sitting_;
    if (std::isfinite(point.seconds)) sitting_ = point.seconds;
    point.seconds += before_;
    const std::string split = line["split"];
    if (split == "val") log_.val.push_back(point);
    if (split == "val_ema") log_.val_ema.push_back(point);
    if (split == "train_windows") log_.train.push_back(point);
    if (const double rate = number_at(line, "tokens_per_second"); std::isfinite(rate)) {
      rates_.push_back(rate);
    }
    log_.last = point;
    return true;
  }
  double rate() const { return median(rates_); }

 private:
  RunLog& log_;
  double before_ = 0, sitting_ = 0;  // seconds
  std::vector<double> rates_;
};

void read_metrics(const fs::path& file, RunLog& log) {
  std::ifstream stream(file, std::ios::binary);
  struct stat status {};
  if (!stream || ::stat(file.c_str(), &status) != 0) {
    log.problems.emplace_back("no metrics.jsonl that can be read: it logged nothing");
    return;
  }
  log.written = status.st_mtime;
  Reader reader(log);
  std::int64_t number = 0, bad = 0, first_bad = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    // The last line may be half written yet.
    if (line.empty() || reader.read(line) || stream.eof()) continue;
    if (bad++ == 0) first_bad = number;
  }
  log.tokens_per_second = reader.rate();
  if (bad == 1) {
    log.problems.push_back(
        fmt::format("metrics.jsonl: line {} cannot be read and is left out", first_bad));
  } else if (bad > 1) {
    log.problems.push_back(
        fmt::format("metrics.jsonl: {} lines cannot be read and are left out, the first line {}",
                    bad, first_bad));
  }
}

// The step of checkpoints/last; 0 where there is none.
std::int64_t saved_step(const fs::path& folder) {
  std::error_code error;
  const std::string name = fs::read_symlink(folder / "checkpoints" / "last", error).string();
  if (error || name.rfind("step_", 0) != 0) return 0;
  return std::atoll(name.c_str() + 5);
}

// Keys that this version does not know are left out, so that a run of a newer one can be listed.
void read_config(const fs::path& file, RunLog& log) {
  std::ifstream stream(file, std::ios::binary);
  Json json = Json::parse(stream, nullptr, false);
  if (json.is_discarded()) {
    log.problems.emplace_back("config.json: is not JSON; restore it from a copy of the run");
    return;
  }
  const Json known = to_json(RunConfig());
  for (const char* half : {"model", "training"}) {
    if (!json.is_object() || !json.contains(half) || !json[half].is_object()) continue;
    for (auto entry = json[half].begin(); entry != json[half].end();) {
      if (known[half].contains(entry.key())) {
        ++entry;
        continue;
      }
      log.problems.push_back(fmt::format(
          "config.json: the key {} is unknown to this masque and left out", entry.key()));
      entry = json[half].erase(entry);
    }
  }
  try {
    log.config = config_from_json(json);
  } catch (const std::exception& error) {
    const std::string message = error.what();
    const char* file_name = message.rfind("config.json", 0) == 0 ? "" : "config.json: ";
    log.problems.push_back(file_name + message);
  }
}

const LogPoint* lowest(const std::vector<LogPoint>& points) {
  const LogPoint* least = nullptr;
  for (const LogPoint& point : points) {
    if (std::isfinite(point.loss) && (least == nullptr || point.loss < least->loss)) least = &point;
  }
  return least;
}

void find_below(const fs::path& folder, int depth, std::vector<fs::path>& found) {
  if (looks_like_run(folder)) {
    found.push_back(folder);
    return;
  }
  if (depth == 0) return;
  std::error_code error;
  std::vector<fs::path> folders;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code unknown;
    if (at->is_symlink(unknown) || !at->is_directory(unknown)) continue;
    if (at->path().filename().string()[0] != '.') folders.push_back(at->path());
  }
  std::sort(folders.begin(), folders.end());
  for (const fs::path& next : folders) find_below(next, depth - 1, found);
}

}  // namespace

const LogPoint* RunLog::best() const {
  return lowest(val);
}

const LogPoint* RunLog::best_ema() const {
  return lowest(val_ema);
}

RunLog read_run_log(const fs::path& folder) {
  RunLog log;
  log.folder = folder;
  std::error_code error;
  if (fs::exists(folder / "config.json", error)) {
    read_config(folder / "config.json", log);
  } else {
    log.problems.emplace_back("no config.json: what it trained is not known");
  }
  read_metrics(folder / "metrics.jsonl", log);
  log.steps = std::max(log.last.step, saved_step(folder));
  return log;
}

bool looks_like_run(const fs::path& folder) {
  std::error_code error;
  const auto has = [&](const char* name) { return fs::exists(folder / name, error); };
  return has("metrics.jsonl") || (has("config.json") && has("environment.json"));
}

std::vector<fs::path> find_runs(const fs::path& root) {
  std::vector<fs::path> found;
  find_below(root, kDepth, found);
  return found;
}

std::string val_windows(const RunConfig& config) {
  const TrainingConfig& training = config.training;
  return fmt::format("{}{} x {}",
                     training.eval_windows == 0 ? "all" : std::to_string(training.eval_windows),
                     training.eval_crops ? " random" : "", config.model.context);
}

std::string val_text(const RunConfig& config) {
  return fmt::format("{}, {}/{}", grouped(config.data.tokens), config.training.train_fraction,
                     config.training.val_fraction);
}

}  // namespace masque
