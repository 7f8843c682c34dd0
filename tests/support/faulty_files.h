// A file layer that fails where a test says so.
#pragma once

#include <cerrno>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "models/files.h"

namespace masque::test {

// The system's files, but what is asked is counted, and fails where a test says so. Never flushes:
// tests do not lose power, and flushing is slow.
class FaultyFiles : public FileSystem {
 public:
  // Operations first … first + count − 1, from the next on, fail with `reason`; 0: writes of those
  // take half of what they are given, and all else works.
  void fail(std::int64_t first, int reason,
            std::int64_t count = std::numeric_limits<std::int64_t>::max() / 2) {
    const std::lock_guard guard(mutex_);
    done_ = 0;
    first_ = first;
    last_ = first + count;
    reason_ = reason;
  }
  // From now on only operations on a path that holds `part` count.
  void only(const std::string& part) {
    const std::lock_guard guard(mutex_);
    only_ = part;
  }
  void heal() { fail(0, 0, 0); }
  std::int64_t operations() const {  // counted since the last fail() or heal()
    const std::lock_guard guard(mutex_);
    return done_;
  }

  int open(const Path& file, int flags) override {
    if (refuses(file)) return -1;
    const int fd = FileSystem::open(file, flags);
    const std::lock_guard guard(mutex_);
    if (fd >= 0) opened_.emplace_back(fd, file);
    return fd;
  }
  ssize_t write(int fd, std::span<const std::byte> bytes) override {
    const bool hit = counts(path_of(fd));
    if (hit && reason_ != 0) return errno = reason_, -1;
    return FileSystem::write(fd, hit ? bytes.first((bytes.size() + 1) / 2) : bytes);
  }
  int fsync(int fd) override { return refuses(path_of(fd)) ? -1 : 0; }
  int close(int fd) override {
    const std::lock_guard guard(mutex_);
    std::erase_if(opened_, [fd](const auto& each) { return each.first == fd; });
    return FileSystem::close(fd);
  }
  int rename(const Path& from, const Path& to) override {
    return refuses(to) ? -1 : FileSystem::rename(from, to);
  }
  int exchange(const Path& a, const Path& b) override {
    return refuses(b) ? -1 : FileSystem::exchange(a, b);
  }
  int symlink(const Path& target, const Path& link) override {
    return refuses(link) ? -1 : FileSystem::symlink(target, link);
  }
  int mkdir(const Path& folder) override {
    return refuses(folder) ? -1 : FileSystem::mkdir(folder);
  }
  int unlink(const Path& file) override { return refuses(file) ? -1 : FileSystem::unlink(file); }
  int rmdir(const Path& folder) override {
    return refuses(folder) ? -1 : FileSystem::rmdir(folder);
  }

 private:
  bool counts(const Path& path) {
    const std::lock_guard guard(mutex_);
    if (!only_.empty() && path.string().find(only_) == std::string::npos) return false;
    const std::int64_t number = done_++;
    return number >= first_ && number < last_;
  }
  bool refuses(const Path& path) {
    if (!counts(path) || reason_ == 0) return false;
    errno = reason_;
    return true;
  }
  Path path_of(int fd) const {
    const std::lock_guard guard(mutex_);
    for (const auto& each : opened_) {
      if (each.first == fd) return each.second;
    }
    return {};
  }

  mutable std::mutex mutex_;
  std::int64_t done_ = 0, first_ = 0, last_ = 0;
  int reason_ = 0;
  std::string only_;
  std::vector<std::pair<int, Path>> opened_;
};

}  // namespace masque::test
