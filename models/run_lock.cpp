#include "models/run_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/check.h"

namespace masque {

RunLock::RunLock(const std::filesystem::path& file)
    : fd_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  const std::string folder = file.parent_path().string();
  if (fd_ < 0) {
    throw InputError(fmt::format("cannot lock {}: {}; allow this user to write there", folder,
                                 std::strerror(errno)));
  }
  // A record lock and not flock: the system knows its owner, and no number in a file can be stale.
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(fd_, F_SETLK, &lock) == 0) return;
  const int reason = errno;
  const bool held = reason == EACCES || reason == EAGAIN;
  if (held && ::fcntl(fd_, F_GETLK, &lock) != 0) lock.l_pid = 0;
  ::close(std::exchange(fd_, -1));
  if (held) {
    throw InputError(
        fmt::format("{}: process {} trains there: wait for its end, or name another run folder",
                    folder, lock.l_pid));
  }
  // A file system without locks.
  if (reason != ENOLCK && reason != EOPNOTSUPP && reason != ENOSYS) {
    throw InputError(fmt::format("cannot lock {}: {}", folder, std::strerror(reason)));
  }
}

RunLock::RunLock(RunLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

RunLock::~RunLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace masque
