#include "apps/report/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/report/format.h"
#include "kernels/backend.h"

namespace masque::report {
namespace {

constexpr std::int64_t kFormat = 1;

Score score_of(const Field& field) {
  return {field.model("model"), field.text("estimator"), field.text("order")};
}

}  // namespace

std::string Score::name() const {
  return row_name(model, estimator, order);
}

Results::Results(const nlohmann::json& json) : root_(json, "") {
  if (root_.integer("format") != kFormat) {
    throw InputError(
        fmt::format("results.json: format {}, but this masque reads {}; use the one "
                    "that wrote it",
                    root_.integer("format"), kFormat));
  }
  for (const double seed : root_["protocol"].numbers("seeds")) {
    if (std::isfinite(seed)) seeds_.insert(static_cast<std::int64_t>(seed));
  }
  read_runs();
  read_headline();
  read_differences();
}

void Results::read_runs() {
  for (const Field& run : root_.list("runs")) {
    runs_[run.text("id")] = {run.model("model"), run.text("role"), run.text("label"),
                             run.integer("seed")};
  }
}

void Results::read_headline() {
  for (const Field& row : root_.list("headline")) {
    HeadlineRow entry{score_of(row),
                      row.bound(),
                      row.number("nats"),
                      row.interval("across_seeds"),
                      row.interval("ci95_text"),
                      row.numbers("by_seed"),
                      row.number("bits"),
                      row.number("perplexity"),
                      row.integer("windows")};
    headline_.push_back(std::move(entry));
  }
}

void Results::read_differences() {
  for (const Field& field : root_.list("differences")) {
    Difference difference{field.text("name"),
                          field.text("note"),
                          score_of(field["first"]),
                          score_of(field["second"]),
                          field.integer("windows"),
                          field.number("nats"),
                          field.interval("across_seeds"),
                          {}};
    for (const Field& paired : field.list("paired")) {
      difference.paired.push_back(
          {paired.integer("seed"), paired.number("nats"), paired.interval("interval")});
    }
    differences_.push_back(std::move(difference));
  }
}

const HeadlineRow* Results::row(const Score& score) const {
  const auto found = std::find_if(headline_.begin(), headline_.end(),
                                  [&](const HeadlineRow& row) { return row.score == score; });
  return found == headline_.end() ? nullptr : &*found;
}

const RunInfo& Results::run(const Field& field) const {
  const auto found = runs_.find(field.text("run"));
  if (found == runs_.end()) {
    throw InputError(
        fmt::format("results.json: {}.run is \"{}\", which is not the id of one of "
                    "runs",
                    field.path(), field.text("run")));
  }
  return found->second;
}

std::string Results::split() const {
  return root_["protocol"].text("split");
}

std::string Results::file() const {
  return std::filesystem::path(root_["data"].text("file")).filename().string();
}

std::string Results::unit() const {
  return root_["data"].has("bytes") ? "byte" : "character";
}

std::string Results::windows() const {
  const Field protocol = root_["protocol"];
  const double windows = protocol.has("windows") ? protocol.number("windows") : 0;
  return fmt::format("{} split, {} windows of {} tokens", split(),
                     windows > 0 ? count(windows) : "all", protocol.integer("window"));
}

std::string Results::provenance(const std::set<std::int64_t>& seeds) const {
  std::string hashes;
  for (const Field& model : root_.list("models")) {
    hashes += fmt::format("{}{} ({})", hashes.empty() ? "" : ", ", model.text("config_hash"),
                          model_name(model.model("name")));
  }
  return fmt::format("{} {}; config {}", seeds.size() == 1 ? "Seed" : "Seeds",
                     seeds.empty() ? "–" : fmt::format("{}", fmt::join(seeds, ", ")),
                     hashes.empty() ? "–" : hashes);
}

}  // namespace masque::report
