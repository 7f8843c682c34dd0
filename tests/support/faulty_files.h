// File layers for tests: one that fails, one that remembers what it was asked.
#pragma once

#include <cerrno>
#include <cstdint>
#include <limits>
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
    done_ = 0;
    first_ = first;
    last_ = first + count;
    reason_ = reason;
    only_.clear();
  }
  // Only those on a path that holds `part`.
  void fail_at(const std::string& part, int reason) {
    fail(0, reason);
    only_ = part;
  }
  void heal() { fail(0, 0, 0); }
  std::int64_t operations() const { return done_; }  // since the last of the above

  int open(const Path& file, int flags) override {
    if (refuses(file)) return -1;
    const int fd = FileSystem::open(file, flags);
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
    for (const auto& each : opened_) {
      if (each.first == fd) return each.second;
    }
    return {};
  }

  std::int64_t done_ = 0, first_ = 0, last_ = 0;
  int reason_ = 0;
  std::string only_;
  std::vector<std::pair<int, Path>> opened_;
};

}  // namespace masque::test
