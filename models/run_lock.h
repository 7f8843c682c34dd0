// A run folder is one process's while it trains.
#pragma once

#include <filesystem>

namespace masque {

// A lock on a file of the folder, the system's: it dies with its owner, however that ends.
class RunLock {
 public:
  RunLock() = default;  // holds nothing
  // Makes the file where there is none. InputError naming the other process that holds it.
  explicit RunLock(const std::filesystem::path& file);
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  ~RunLock();

 private:
  int fd_ = -1;
};

}  // namespace masque
