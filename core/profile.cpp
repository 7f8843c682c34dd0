#include "core/profile.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace masque {
namespace {

std::optional<std::vector<OpTime>> times;  // nothing: off

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void start_profile() {
  times.emplace();
}

std::vector<OpTime> stop_profile() {
  std::vector<OpTime> result = times.value_or(std::vector<OpTime>());
  times.reset();
  return result;
}

TimedOp::TimedOp(const char* op, Pass pass) : op_(op), pass_(pass) {
  if (times) start_ = now();
}

TimedOp::~TimedOp() {
  if (!times || start_ == 0) return;
  const double seconds = now() - start_;
  auto found = std::find_if(times->begin(), times->end(), [&](const OpTime& time) {
    return time.op == op_ && time.pass == pass_;
  });
  if (found == times->end()) found = times->insert(times->end(), OpTime{op_, pass_, 0, 0});
  found->seconds += seconds;
  ++found->calls;
}

}  // namespace masque
