// A comparison as it goes: part after part, the headline first, results.json after each.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/compare/parts.h"
#include "apps/compare/plan.h"
#include "apps/compare/texts.h"
#include "core/device.h"
#include "models/run.h"

namespace masque {

class Comparison {
 public:
  Comparison(std::filesystem::path folder, Plan plan, Device device);

  // Makes every part that is not there yet. 0, or 130 or 143 when interrupted.
  int go();

 private:
  void require_same_setting() const;
  void setting();
  void trials();
  const PlannedRun* trial_of(const PlannedRun& run) const;
  void train(const PlannedRun& run);
  void order();
  void likelihoods(const PlannedRun& run);
  void quality();
  void train_and_score(const PlannedRun& run);

  // Makes a part and then results.json, unless the part is there.
  template <class Make>
  void part(const std::string& name, const std::string& what, Make&& make);
  void write_results();
  std::vector<std::string> tuned(ObjectiveKind objective) const;
  std::filesystem::path folder_of(const PlannedRun& run) const;
  // With the weights that the plan wants evaluated.
  Run open(const PlannedRun& run) const;
  bool out_of_time() const;
  double seconds() const;  // over all sittings

  std::filesystem::path folder_;
  Plan plan_;
  Device device_;
  Parts parts_;
  CompareTexts texts_;
  double seconds_before_ = 0;  // in earlier sittings
  double started_ = 0;
};

}  // namespace masque
