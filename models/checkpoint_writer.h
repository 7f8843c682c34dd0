// Writes a training's checkpoints beside it, in a thread, one at a time; what failed is tried
// again.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <list>
#include <string>

#include "models/checkpoint.h"
#include "models/trainer.h"

namespace masque {

class CheckpointWriter {
 public:
  // say: told, by the thread that calls, what failed and why, and when it is mended.
  CheckpointWriter(RunFolder folder, std::int64_t keep,
                   std::function<void(const std::string&)> say);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Waits for the one being written, if any, and says how it went.
  void settle();
  // Waits for the one being written, then has this one written.
  void save(Snapshot snapshot, bool best);
  // For every step: takes up what was written, and tries again what failed. Never waits, but
  // where no thread could be made, when it writes itself.
  void poll();
  // Waits for all. Error where one still cannot be written.
  void finish();

 private:
  struct Save {
    Snapshot snapshot;
    bool best;
  };
  void write(const Save& save) const;
  void start();  // writes the first of those that wait, in a thread if one can be made

  RunFolder folder_;
  std::int64_t keep_;
  std::function<void(const std::string&)> say_;
  std::list<Save> waiting_;  // oldest first; the first may be being written
  std::string failure_;      // that was told last, or empty
  std::int64_t pause_ = 0;   // between tries, in polls
  std::int64_t polls_to_retry_ = 0;
  std::future<void> writing_;  // last, so that its end is waited for while the rest lives
};

}  // namespace masque
