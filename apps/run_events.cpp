#include "apps/run_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace masque {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kBegin = "events.out.tfevents.";

// TensorBoard reads a folder's files by name: a time of ten digits, later than those there.
fs::path next_file(const fs::path& folder) {
  std::int64_t time = std::time(nullptr);
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.rfind(kBegin, 0) != 0) continue;
    const std::int64_t other = std::atoll(name.c_str() + std::string(kBegin).size());
    time = std::max(time, other + 1);
  }
  return folder / fmt::format("{}{:010}.masque", kBegin, time);
}

// As a block of code, whose line breaks and signs Markdown leaves alone.
std::string as_code(const std::string& text) {
  std::string code = "    ";
  for (const char character : text)
    code += character == '\n' ? "\n    " : std::string(1, character);
  return code;
}

std::string meaning(ObjectiveKind objective, const std::string& key, const std::string& split) {
  const bool ar = objective == ObjectiveKind::ar;
  if (key == "accuracy") return ar ? "of next tokens" : "of masked tokens";
  if (key != "loss") return "";
  if (split == "train") {
    return ar ? "nats a token, of the step's own batch"
              : "Σ weight·nll a token of the step's own batch: noisy, never a likelihood";
  }
  return ar ? "nats a token, exact (=)" : "nats a token, nelbo: an upper bound (≤)";
}

}  // namespace

RunEvents::RunEvents(const RunFolder& folder, const RunConfig& config,
                     std::optional<std::int64_t> resumed_at, EventWriter::Warn warn)
    : writer_(next_file(folder.path()), std::move(warn)), objective_(config.model.objective) {
  writer_.start(resumed_at ? *resumed_at + 1 : 0);
  if (!resumed_at) writer_.text(0, "config", as_code(to_json(config).dump(2)));
}

void RunEvents::metrics(const Json& line) {
  const std::string split = line.at("split");
  std::vector<Scalar> scalars;
  for (const auto& entry : line.items()) {
    const std::string& key = entry.key();
    if (key == "step" || key == "seconds" || key == "split") continue;
    const bool measured = key == "loss" || key == "accuracy";
    if (!measured && split != "train") continue;
    const double value = entry.value().is_number() ? entry.value().get<double>()
                                                   : std::numeric_limits<double>::quiet_NaN();
    scalars.push_back({measured ? fmt::format("{}/{}", key, split) : "training/" + key, value,
                       meaning(objective_, key, split)});
  }
  writer_.scalars(line.at("step"), scalars);
}

void RunEvents::sample(std::int64_t step, const std::string& text) {
  writer_.text(step, "sample", as_code(text));
}

}  // namespace masque
