// Where a step's time goes, op by op: by the wall, so on the CPU only. A GPU runs later what it was
// given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace masque {

enum class Pass { forward, backward };

struct OpTime {
  std::string op;
  Pass pass;
  double seconds = 0;
  std::int64_t calls = 0;
};

// From here on each op that this thread calls adds to `times`, in the order in which they first
// ran; null: no more.
void profile_into(std::vector<OpTime>* times);

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
