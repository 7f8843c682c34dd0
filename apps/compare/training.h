// The runs of a comparison: training them, and what their metrics say.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "core/device.h"
#include "models/config.h"

namespace masque {

struct CompareText;

// Trains a run to its last step: from nothing, or from the last checkpoint of an interrupted one.
// Nothing is done for one that is complete. 0, or 130 or 143 when interrupted, saved either way.
int train_or_resume(const std::filesystem::path& folder, RunConfig config, const CompareText& text,
                    const Device& device);

// A run of docs/compare-format.md from what its folder says: steps, tokens, seconds, best_step,
// best_val, curve, tokens_per_second. config: the run's.
nlohmann::json run_facts(const std::filesystem::path& folder, const RunConfig& config);

}  // namespace masque
