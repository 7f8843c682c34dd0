#include "kernels/emulator/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/emulator/device_code.h"
#include "kernels/emulator/sanitizer.h"
#include "kernels/emulator/shared_memory.h"
#include "kernels/emulator/stack_pool.h"

namespace masque::emulator {
namespace {

namespace context = boost::context;

constexpr unsigned kMaxThreads = 1024;

std::string text_of(const Site& site) {
  const std::string file = site.file_name();
  return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), site.line());
}

bool same(const Site& left, const Site& right) {
  return left.line() == right.line() && std::strcmp(left.file_name(), right.file_name()) == 0;
}

struct Aborted {};  // unwinds a thread whose block has failed

struct Copy {
  void* shared;
  const void* global;
  std::size_t bytes;
  bool valid;

  void land() const {
    if (valid) {
      std::memcpy(shared, global, bytes);
    } else {
      std::memset(shared, 0, bytes);
    }
  }
};

enum class State { ready, at_barrier, in_collective, returned };

struct Thread {
  Place place;
  unsigned number = 0;
  State state = State::ready;
  Site site;                 // where it waits
  context::fiber fiber;      // of the thread while it waits
  context::fiber scheduler;  // of the scheduler while the thread runs
  StackNote stack;
  // Of a collective.
  const char* op = nullptr;
  unsigned mask = 0;
  void* data = nullptr;
  // cp.async: copies not yet committed, and committed groups, oldest first.
  std::vector<Copy> copies;
  std::vector<std::vector<Copy>> groups;
};

// One block from start to end.
class Block {
 public:
  Block(const Launch& launch, StackPool& stacks, SharedMemory& shared,
        const std::function<void()>& entry)
      : launch_(launch), stacks_(stacks), shared_(shared), entry_(entry) {}

  void run(const uint3& index, std::mt19937_64& random);

  // Of the running thread.
  Thread& self() { return *running_; }
  SharedMemory& shared() { return shared_; }
  void wait_at_barrier(const Site& site);
  void wait_in_collective(const char* op, unsigned mask, void* data, void (*complete)(Posts posts),
                          const Site& site);

 private:
  void start(Thread& thread);
  void resume(Thread& thread);
  void suspend();  // the running thread, until it is ready again
  void returned();
  void fail(const std::string& what);
  std::string waiting() const;

  const Launch& launch_;
  StackPool& stacks_;
  SharedMemory& shared_;
  const std::function<void()>& entry_;
  uint3 index_{};
  std::vector<Thread> threads_;
  Thread* running_ = nullptr;
  StackNote scheduler_stack_;
  const Thread* first_at_barrier_ = nullptr;
  std::size_t at_barrier_ = 0, returned_ = 0;
  std::string failure_;
};

thread_local Block* current = nullptr;

std::vector<std::size_t> turns(std::size_t count, std::mt19937_64& random) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (settings().order == Order::reverse) std::reverse(order.begin(), order.end());
  if (settings().order == Order::random) std::shuffle(order.begin(), order.end(), random);
  return order;
}

void Block::run(const uint3& index, std::mt19937_64& random) {
  index_ = index;
  const dim3& dim = launch_.block;
  const std::size_t count = std::size_t{dim.x} * dim.y * dim.z;
  threads_ = std::vector<Thread>(count);
  at_barrier_ = returned_ = 0;
  shared_.start(launch_.shared_bytes, settings().shared_limit);
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = static_cast<unsigned>(i);
    threads_[i].number = number;
    threads_[i].place = {{number % dim.x, number / dim.x % dim.y, number / dim.x / dim.y},
                         index_,
                         launch_.block,
                         launch_.grid};
    start(threads_[i]);
  }
  current = this;
  while (returned_ < count) {
    bool progress = false;
    for (const std::size_t i : turns(count, random)) {
      if (threads_[i].state != State::ready) continue;
      resume(threads_[i]);
      progress = true;
    }
    if (!progress) fail("no thread can go on: " + waiting());
  }
  current = nullptr;
  if (failure_.empty()) {
    try {
      shared_.finish();
    } catch (const Error& error) {
      fail(error.what());
    }
  }
  if (!failure_.empty()) throw Error(failure_);
}

void Block::start(Thread& thread) {
  thread.fiber = context::fiber(std::allocator_arg, PooledStack{&stacks_, &thread.stack},
                                [this, &thread](context::fiber&& scheduler) {
                                  thread.scheduler = std::move(scheduler);
                                  arrive(thread.stack, &scheduler_stack_);
                                  try {
                                    entry_();
                                    returned();
                                  } catch (const Aborted&) {
                                  } catch (const std::exception& error) {
                                    fail(error.what());
                                  }
                                  thread.state = State::returned;
                                  ++returned_;
                                  leave(thread.stack, scheduler_stack_, true);
                                  return std::move(thread.scheduler);
                                });
}

void Block::resume(Thread& thread) {
  running_ = &thread;
  leave(scheduler_stack_, thread.stack);
  thread.fiber = std::move(thread.fiber).resume();
  arrive(scheduler_stack_);
  running_ = nullptr;
}

void Block::suspend() {
  Thread& thread = *running_;
  leave(thread.stack, scheduler_stack_);
  thread.scheduler = std::move(thread.scheduler).resume();
  arrive(thread.stack, &scheduler_stack_);
  if (!failure_.empty()) throw Aborted{};
}

// The first failure counts; it wakes all threads so that they unwind.
void Block::fail(const std::string& what) {
  if (failure_.empty()) {
    failure_ =
        fmt::format("{}: block ({}, {}, {}): {}", launch_.name, index_.x, index_.y, index_.z, what);
  }
  for (Thread& thread : threads_) {
    if (thread.state != State::returned) thread.state = State::ready;
  }
}

std::string Block::waiting() const {
  std::string text;
  const auto count = [&](auto&& matches) {
    return std::count_if(threads_.begin(), threads_.end(), matches);
  };
  for (auto first = threads_.begin(); first != threads_.end(); ++first) {
    const auto alike = [&](const Thread& other) {
      return other.state == first->state &&
             (first->state == State::returned || same(other.site, first->site));
    };
    if (std::find_if(threads_.begin(), first, alike) != first) continue;
    text += fmt::format("{}{} thread{} ", text.empty() ? "" : ", ", count(alike),
                        count(alike) == 1 ? "" : "s");
    text += first->state == State::returned
                ? "returned"
                : fmt::format("wait{} in {} ({})", count(alike) == 1 ? "s" : "", first->op,
                              text_of(first->site));
  }
  return text;
}

void Block::wait_at_barrier(const Site& site) {
  Thread& thread = self();
  thread.op = "__syncthreads";
  thread.site = site;
  const Thread* other = at_barrier_ > 0 ? first_at_barrier_ : nullptr;
  if (returned_ > 0) {
    other = &*std::find_if(threads_.begin(), threads_.end(), [](const Thread& candidate) {
      return candidate.state == State::returned;
    });
  }
  if (other != nullptr && (other->state == State::returned || !same(other->site, site))) {
    throw Error(fmt::format(
        "divergent barrier: thread {} is at __syncthreads ({}), thread {} {}", thread.number,
        text_of(site), other->number,
        other->state == State::returned ? "has returned" : "at that of " + text_of(other->site)));
  }
  thread.state = State::at_barrier;
  if (at_barrier_ == 0) first_at_barrier_ = &thread;
  if (++at_barrier_ == threads_.size()) {
    at_barrier_ = 0;
    for (Thread& waiting : threads_) waiting.state = State::ready;
  }
  suspend();
}

void Block::wait_in_collective(const char* op, unsigned mask, void* data,
                               void (*complete)(Posts posts), const Site& site) {
  Thread& thread = self();
  Thread* const warp = &threads_[thread.number / kWarp * kWarp];
  const unsigned lanes =
      std::min<unsigned>(kWarp, static_cast<unsigned>(threads_.data() + threads_.size() - warp));
  if ((mask >> (thread.number % kWarp) & 1u) == 0) {
    throw Error(fmt::format("{} ({}): thread {} is not in its own mask {:#010x}", op, text_of(site),
                            thread.number, mask));
  }
  thread.op = op;
  thread.site = site;
  thread.mask = mask;
  thread.data = data;
  bool all = true;
  for (unsigned i = 0; i < kWarp; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    if (i >= lanes || warp[i].state == State::returned) {
      throw Error(fmt::format("{} ({}): thread {} names lane {}, which {}", op, text_of(site),
                              thread.number, i, i >= lanes ? "is not there" : "has returned"));
    }
    if (&warp[i] == &thread) continue;
    if (warp[i].state != State::in_collective) {
      all = false;
    } else if (warp[i].mask != mask || warp[i].op != op || !same(warp[i].site, site)) {
      throw Error(
          fmt::format("divergent warp: thread {} is in {} ({}, mask {:#010x}), thread {} in {} "
                      "({}, mask {:#010x})",
                      thread.number, op, text_of(site), mask, warp[i].number, warp[i].op,
                      text_of(warp[i].site), warp[i].mask));
    }
  }
  thread.state = State::in_collective;
  if (all) {
    void* posts[kWarp] = {};
    for (unsigned i = 0; i < kWarp; ++i) {
      if ((mask >> i & 1u) == 0) continue;
      posts[i] = warp[i].data;
      warp[i].state = State::ready;
    }
    complete(posts);
  }
  suspend();
}

void Block::returned() {
  const Thread& thread = self();
  const bool under_way = std::any_of(thread.groups.begin(), thread.groups.end(),
                                     [](const auto& group) { return !group.empty(); });
  if (!thread.copies.empty() || under_way) {
    throw Error(fmt::format("thread {} returned with asynchronous copies that it never waited for",
                            thread.number));
  }
  for (const Thread& other : threads_) {
    if (other.state == State::at_barrier) {
      throw Error(fmt::format(
          "divergent barrier: thread {} has returned, thread {} is at __syncthreads ({})",
          thread.number, other.number, text_of(other.site)));
    }
    if (other.state == State::in_collective && other.number / kWarp == thread.number / kWarp &&
        (other.mask >> (thread.number % kWarp) & 1u) != 0) {
      throw Error(
          fmt::format("divergent warp: thread {} has returned, thread {} waits for it in {} ({})",
                      thread.number, other.number, other.op, text_of(other.site)));
    }
  }
}

Block& block() {
  if (current == nullptr) throw Error("device code was called outside a launch");
  return *current;
}

}  // namespace

Settings& settings() {
  static Settings settings;
  return settings;
}

void check_launch(const Launch& launch) {
  const dim3 &grid = launch.grid, &dim = launch.block;
  const auto refuse = [&](const std::string& why) {
    throw Error(fmt::format(
        "{}: grid ({}, {}, {}) of blocks ({}, {}, {}) with {} bytes of dynamic "
        "shared memory: {}",
        launch.name, grid.x, grid.y, grid.z, dim.x, dim.y, dim.z, launch.shared_bytes, why));
  };
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) refuse("the grid is empty");
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) refuse("the grid is too large");
  const std::size_t threads = std::size_t{dim.x} * dim.y * dim.z;
  if (threads == 0 || threads > kMaxThreads || dim.z > 64) {
    refuse(fmt::format("a block has 1 to {} threads", kMaxThreads));
  }
  if (launch.shared_bytes > settings().shared_limit) {
    refuse(fmt::format("this device gives a block {}", settings().shared_limit));
  }
}

void run_grid(const Launch& launch, const std::function<void()>& thread) {
  static thread_local StackPool stacks;
  static thread_local SharedMemory shared;
  check_launch(launch);
  std::mt19937_64 random(settings().seed);
  const dim3& grid = launch.grid;
  for (const std::size_t i : turns(std::size_t{grid.x} * grid.y * grid.z, random)) {
    Block block(launch, stacks, shared, thread);
    block.run({static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
               static_cast<unsigned>(i / grid.x / grid.y)},
              random);
  }
}

const Place& place() {
  return block().self().place;
}

unsigned lane() {
  return block().self().number % kWarp;
}

void barrier(const Site& site) {
  block().wait_at_barrier(site);
}

void collective(const char* op, unsigned mask, void* data, void (*complete)(Posts posts),
                const Site& site) {
  block().wait_in_collective(op, mask, data, complete, site);
}

void* static_shared(const void* site, std::size_t bytes) {
  return block().shared().fixed(site, bytes);
}

void* dynamic_shared(std::size_t number, std::size_t bytes) {
  return block().shared().dynamic(number, bytes);
}

bool in_shared(const void* pointer, std::size_t bytes) {
  return block().shared().holds(pointer, bytes);
}

void refuse_access(const void* address, std::size_t bytes, const Site& site) {
  throw Error(fmt::format("an access of {} bytes ({}) at {}, which is no multiple of {}", bytes,
                          text_of(site), address, bytes));
}

void copy_async(void* shared, const void* global, std::size_t bytes, bool valid, const Site& site) {
  const auto aligned = [&](const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
  };
  if (!aligned(shared) || (valid && !aligned(global))) {
    throw Error(
        fmt::format("cp.async ({}): both addresses must be multiples of {}", text_of(site), bytes));
  }
  if (!in_shared(shared, bytes)) {
    throw Error(fmt::format("cp.async ({}): the destination is not within a piece of shared memory",
                            text_of(site)));
  }
  const Copy copy{shared, global, bytes, valid};
  if (settings().copies_land_early) copy.land();
  block().self().copies.push_back(copy);
}

void commit_copies() {
  Thread& thread = block().self();
  thread.groups.push_back(std::move(thread.copies));
  thread.copies.clear();
}

void wait_copies(std::size_t groups_left) {
  Thread& thread = block().self();
  while (thread.groups.size() > groups_left) {
    if (!settings().copies_land_early) {
      for (const Copy& copy : thread.groups.front()) copy.land();
    }
    thread.groups.erase(thread.groups.begin());
  }
}

}  // namespace masque::emulator
