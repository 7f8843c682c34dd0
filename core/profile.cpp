#include "core/profile.h"

#include <algorithm>
#include <chrono>

namespace masque {
namespace {

thread_local std::vector<OpTime>* times = nullptr;  // null: off

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void profile_into(std::vector<OpTime>* list) {
  times = list;
}

TimedOp::TimedOp(const char* op, Pass pass) : op_(op), pass_(pass) {
  if (times != nullptr) start_ = now();
}

TimedOp::~TimedOp() {
  if (times == nullptr || start_ == 0) return;
  const double seconds = now() - start_;
  auto found = std::find_if(times->begin(), times->end(), [&](const OpTime& time) {
    return time.op == op_ && time.pass == pass_;
  });
  if (found == times->end()) found = times->insert(times->end(), OpTime{op_, pass_, 0, 0});
  found->seconds += seconds;
  ++found->calls;
}

}  // namespace masque
