// What a run's metrics.jsonl and samples/ say, as an event file of its folder for TensorBoard.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "apps/tensorboard.h"
#include "models/checkpoint.h"
#include "models/config.h"

namespace masque {

class RunEvents {
 public:
  RunEvents() = default;  // writes nothing
  // Begins a new file, which TensorBoard reads after those that are there. resumed_at: the step
  // from which a run goes on; what older files say of later ones is dropped by TensorBoard.
  RunEvents(const RunFolder& folder, const RunConfig& config,
            std::optional<std::int64_t> resumed_at, EventWriter::Warn warn);

  // A line of metrics.jsonl: loss/SPLIT and accuracy/SPLIT, and of training steps the rest as
  // training/KEY. null is NaN.
  void metrics(const nlohmann::json& line);
  void sample(std::int64_t step, const std::string& text);

 private:
  EventWriter writer_;
  ObjectiveKind objective_ = ObjectiveKind::llada;
};

}  // namespace masque
