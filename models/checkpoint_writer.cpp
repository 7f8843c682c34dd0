#include "models/checkpoint_writer.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

#include "core/check.h"

namespace masque {
namespace {

constexpr std::int64_t kMaxPause = 64;  // polls

}  // namespace

CheckpointWriter::CheckpointWriter(RunFolder folder, std::int64_t keep,
                                   std::function<void(const std::string&)> say)
    : folder_(std::move(folder)), keep_(keep), say_(std::move(say)) {}

void CheckpointWriter::write(const Save& save) const {
  folder_.save_checkpoint(save.snapshot.step, save.best, keep_,
                          [&](CheckpointFiles& files) { save.snapshot.write(files); });
}

void CheckpointWriter::start() {
  const auto work = [this, first = &waiting_.front()] { write(*first); };
  try {
    writing_ = std::async(std::launch::async, work);
  } catch (const std::system_error&) {
    writing_ = std::async(std::launch::deferred, work);  // no thread to be had: settle() writes
  }
}

void CheckpointWriter::settle() {
  if (!writing_.valid()) return;
  const std::int64_t step = waiting_.front().snapshot.step;
  try {
    writing_.get();
    waiting_.pop_front();
    pause_ = polls_to_retry_ = 0;
    if (!std::exchange(failure_, "").empty()) say_(fmt::format("step {}: saved after all", step));
  } catch (const std::exception& error) {
    if (failure_ != error.what()) {
      failure_ = error.what();
      say_(fmt::format("step {}: not saved: {}; training goes on, and it is tried again", step,
                       failure_));
    }
    pause_ = std::clamp<std::int64_t>(2 * pause_, 1, kMaxPause);
    polls_to_retry_ = pause_;
  }
}

void CheckpointWriter::save(Snapshot snapshot, bool best) {
  settle();
  waiting_.push_back({std::move(snapshot), best});
  // Of those that failed, the newest best is still wanted, unless this is a better one.
  const auto newest_best =
      std::find_if(waiting_.rbegin(), waiting_.rend(), [](const Save& each) { return each.best; });
  const Save* const keep = newest_best == waiting_.rend() ? nullptr : &*newest_best;
  waiting_.remove_if([&](const Save& each) { return &each != keep && &each != &waiting_.back(); });
  start();
}

void CheckpointWriter::poll() {
  if (writing_.valid()) {
    if (writing_.wait_for(std::chrono::seconds(0)) == std::future_status::timeout) return;
    settle();
  } else if (polls_to_retry_ > 0) {
    --polls_to_retry_;
  }
  if (!writing_.valid() && !waiting_.empty() && polls_to_retry_ == 0) start();
}

void CheckpointWriter::finish() {
  settle();
  std::string failure;
  for (auto save = waiting_.begin(); save != waiting_.end();) {
    try {
      write(*save);
      if (!std::exchange(failure_, "").empty()) {
        say_(fmt::format("step {}: saved after all", save->snapshot.step));
      }
      save = waiting_.erase(save);
    } catch (const std::exception& error) {
      failure = fmt::format("step {} is not saved: {}", save->snapshot.step, error.what());
      ++save;
    }
  }
  if (!failure.empty()) throw Error(failure);
}

}  // namespace masque
