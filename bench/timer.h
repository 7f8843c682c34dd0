// How masque-bench times: on the device's own clock, with nothing in the caches, many times.
#pragma once

#include <memory>
#include <vector>

#include "core/device.h"

namespace masque::bench {

// The time between two points of a device's work.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void start() = 0;
  virtual void stop() = 0;
  virtual double seconds() = 0;  // from the last start to the last stop; waits for the device
};
std::unique_ptr<Timer> make_timer(const Device& device);

// Writes more than the caches hold, so that what is timed next reads from memory. A GPU does so
// while the host goes on, and hides the time that launches take.
class CacheFlush {
 public:
  explicit CacheFlush(const Device& device);
  void operator()();

 private:
  Device device_;
  Memory memory_;
};

// Free memory of a GPU, as the driver counts; 0 on the CPU.
std::size_t free_bytes(const Device& device);
// The most memory that this process has held. Linux's VmHWM: getrusage would count in the program
// that started this one.
std::size_t peak_bytes();

struct Spread {
  double median = 0, first_quartile = 0, third_quartile = 0;
  double range() const { return third_quartile - first_quartile; }
};
// Of at least one value; between two values in proportion.
Spread spread_of(std::vector<double> values);

}  // namespace masque::bench
