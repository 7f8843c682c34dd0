// results.json as the sections read it: rows, runs, and the words that every caption ends with.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "apps/report/fields.h"

namespace masque::report {

// One way of scoring a model: what a row of the headline is named by.
struct Score {
  std::string model, estimator, order;
  bool operator==(const Score&) const = default;
  std::string name() const;
};

struct HeadlineRow {
  Score score;
  std::string bound;  // exact, upper, mean
  double nats = 0;
  Interval across_seeds, ci95_text;
  std::vector<double> by_seed;
  double bits = 0, perplexity = 0;
  std::int64_t windows = 0;
};

struct PairedInterval {
  std::int64_t seed = 0;
  double nats = 0;
  Interval interval;
};

// first − second, on the same windows.
struct Difference {
  std::string name, note;
  Score first, second;
  std::int64_t windows = 0;
  double nats = 0;
  Interval across_seeds;
  std::vector<PairedInterval> paired;
};

struct RunInfo {
  std::string model, role, label;
  std::int64_t seed = 0;
};

class Results {
 public:
  explicit Results(const nlohmann::json& json);

  const Field& root() const { return root_; }
  const std::vector<HeadlineRow>& headline() const { return headline_; }
  const std::vector<Difference>& differences() const { return differences_; }
  const HeadlineRow* row(const Score& score) const;  // nullptr where there is none
  const std::set<std::int64_t>& seeds() const { return seeds_; }

  // InputError naming `field` where results.json has no such run.
  const RunInfo& run(const Field& field) const;

  std::string split() const;
  std::string file() const;  // of the data, without its folders
  std::string unit() const;  // what a token is: character or byte
  // test split, 872 windows of 128 tokens
  std::string windows() const;
  // "seeds 1, 2; config 0a1b2c (LLaDA), 3d4e5f (AR)"
  std::string provenance() const { return provenance(seeds_); }
  std::string provenance(const std::set<std::int64_t>& seeds) const;

 private:
  void read_headline();
  void read_differences();
  void read_runs();
  Field root_;
  std::vector<HeadlineRow> headline_;
  std::vector<Difference> differences_;
  std::map<std::string, RunInfo> runs_;
  std::set<std::int64_t> seeds_;
};

}  // namespace masque::report
