// Runs a grid of CUDA threads on the CPU, one block at a time, each thread a fiber. A thread runs
// until it waits for others; who goes next, and when asynchronous copies land, is a setting that no
// result may depend on. What CUDA leaves undefined is an Error with its line: a barrier that not
// all threads reach, a collective whose lanes disagree, a copy that nobody waits for.
//
// Not seen: races between blocks, the memory model, registers, time. bench/gpu_check.sh is for
// those.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

// CUDA's names.
struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace masque::emulator {

constexpr unsigned kWarp = 32;

enum class Order { forward, reverse, random };

struct Settings {
  Order order = Order::forward;           // of blocks, and of threads within a block
  std::uint64_t seed = 1;                 // of Order::random and of deferred streams
  bool copies_land_early = false;         // cp.async at once; false: only at the wait
  bool deferred = false;                  // streams run only when waited for, in a legal order
  std::size_t shared_limit = 227 * 1024;  // opt-in shared memory a block: 99, 163 or 227 KB
  std::size_t device_memory = std::size_t{4} << 30;
};
Settings& settings();

struct Launch {
  const char* name;  // of the kernel, for messages
  dim3 grid, block;
  std::size_t shared_bytes;  // dynamic
};

void check_launch(const Launch& launch);  // Error where limits are broken

// Calls thread() once for every thread of the grid. Error where limits or rules are broken.
void run_grid(const Launch& launch, const std::function<void()>& thread);

// Where device code calls: std::source_location, which clang 14 lacks.
class Site {
 public:
  static constexpr Site current(const char* file = __builtin_FILE(),
                                unsigned line = __builtin_LINE()) {
    return {file, line};
  }
  constexpr Site(const char* file = "", unsigned line = 0) : file_(file), line_(line) {}
  constexpr const char* file_name() const { return file_; }
  constexpr unsigned line() const { return line_; }

 private:
  const char* file_;
  unsigned line_;
};

// What the running thread asks of its block; device_code.h and gpu.h give these CUDA's names.

struct Place {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
};
const Place& place();
unsigned lane();

void barrier(const Site& site);

// Posts `data` and waits until all lanes of `mask` have posted to the same op at the same line. The
// last to come runs complete(posts): posts[lane] is that lane's data, null outside the mask.
using Posts = void* const (&)[kWarp];
void collective(const char* op, unsigned mask, void* data, void (*complete)(Posts posts),
                const Site& site);

// Shared memory, full of NaN when the block starts, with redzones around each piece. site: an
// address of its own for each declaration. number: the how manyeth piece of dynamic memory.
void* static_shared(const void* site, std::size_t bytes);
void* dynamic_shared(std::size_t number, std::size_t bytes);
bool in_shared(const void* pointer, std::size_t bytes);  // within one piece

void copy_async(void* shared, const void* global, std::size_t bytes, bool valid, const Site& site);
void commit_copies();
void wait_copies(std::size_t groups_left);

}  // namespace masque::emulator
