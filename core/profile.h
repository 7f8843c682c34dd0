// Where a step's time goes, op by op. Off unless started; then every op is timed by the wall, so on
// the CPU only: a GPU runs what it was given later.
#pragma once

#include <string>
#include <vector>

namespace masque {

enum class Pass { forward, backward };

struct OpTime {
  std::string op;
  Pass pass;
  double seconds = 0;
  long long calls = 0;
};

void start_profile();                // forgets what was timed before
std::vector<OpTime> stop_profile();  // in the order in which the ops first ran

// Times a scope as `op`. Scopes do not nest.
class TimedOp {
 public:
  TimedOp(const char* op, Pass pass);
  ~TimedOp();
  TimedOp(const TimedOp&) = delete;
  TimedOp& operator=(const TimedOp&) = delete;

 private:
  const char* op_;
  Pass pass_;
  double start_ = 0;
};

}  // namespace masque
