#include "models/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "core/check.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

FileSystem& system_files() {
  static FileSystem files;
  return files;
}

std::atomic<FileSystem*>& in_use() {
  static std::atomic<FileSystem*> files = &system_files();
  return files;
}

FileSystem& files() {
  return *in_use().load();
}

const char* mend(int reason) {
  switch (reason) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space there";
    case EACCES:
    case EPERM:
      return "; allow this user to write there";
    case EROFS:
      return "; mount it for writing";
    case EIO:
      return "; the disk or its connection may be failing";
    default:
      return "";
  }
}

[[noreturn]] void fail(const char* what, const fs::path& path, int reason) {
  throw Error(
      fmt::format("cannot {} {}: {}{}", what, path.string(), std::strerror(reason), mend(reason)));
}

// Calls again where a signal came between. Returns the call's result.
template <class Call>
auto insist(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

template <class Call>
void require(const char* what, const fs::path& path, Call call) {
  if (insist(call) < 0) fail(what, path, errno);
}

// An open file. What matters of a close is told by the fsync before it.
class OpenFile {
 public:
  OpenFile(const char* what, const fs::path& path, int flags)
      : fd_(insist([&] { return files().open(path, flags | O_CLOEXEC); })) {
    if (fd_ < 0) fail(what, path, errno);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { files().close(fd_); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

void write_all(const fs::path& file, int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = insist([&] { return files().write(fd, bytes); });
    if (written < 0) fail("write", file, errno);
    if (written == 0) fail("write", file, EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

// For cleaning up after a failure, which is what is reported.
template <class Work>
void try_to(Work work) {
  try {
    work();
  } catch (const Error&) {
  }
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void unlink_if_there(const fs::path& file) {
  if (insist([&] { return files().unlink(file); }) < 0 && errno != ENOENT) {
    fail("remove", file, errno);
  }
}

}  // namespace

int FileSystem::open(const Path& file, int flags) {
  return ::open(file.c_str(), flags, 0666);
}

ssize_t FileSystem::write(int fd, std::span<const std::byte> bytes) {
  return ::write(fd, bytes.data(), bytes.size());
}

int FileSystem::fsync(int fd) {
  return ::fsync(fd);
}

int FileSystem::close(int fd) {
  return ::close(fd);
}

int FileSystem::rename(const Path& from, const Path& to) {
  return ::rename(from.c_str(), to.c_str());
}

int FileSystem::exchange(const Path& a, const Path& b) {
  return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
}

int FileSystem::symlink(const Path& target, const Path& link) {
  return ::symlink(target.c_str(), link.c_str());
}

int FileSystem::mkdir(const Path& folder) {
  return ::mkdir(folder.c_str(), 0777);
}

int FileSystem::unlink(const Path& file) {
  return ::unlink(file.c_str());
}

int FileSystem::rmdir(const Path& folder) {
  return ::rmdir(folder.c_str());
}

WithFileSystem::WithFileSystem(FileSystem& other) : previous_(in_use().exchange(&other)) {}

WithFileSystem::~WithFileSystem() {
  in_use() = previous_;
}

void write_file(const fs::path& file, std::span<const std::span<const std::byte>> parts) {
  const fs::path temporary = file.string() + ".tmp";
  try {
    {
      const OpenFile handle("write", temporary, O_WRONLY | O_CREAT | O_TRUNC);
      for (const std::span<const std::byte> part : parts) write_all(file, handle.fd(), part);
      require("write", file, [&] { return files().fsync(handle.fd()); });
    }
    require("write", file, [&] { return files().rename(temporary, file); });
  } catch (const Error&) {
    try_to([&] { unlink_if_there(temporary); });
    throw;
  }
  sync_folder(folder_of(file));
}

void write_file(const fs::path& file, std::span<const std::byte> bytes) {
  write_file(file, std::array{bytes});
}

void write_file(const fs::path& file, const std::string& text) {
  write_file(file, std::as_bytes(std::span(text)));
}

void make_folder(const fs::path& folder) {
  std::error_code status;
  if (fs::is_directory(folder, status)) return;
  if (folder.has_parent_path()) make_folder(folder.parent_path());
  if (insist([&] { return files().mkdir(folder); }) < 0) {
    const int reason = errno;
    if (!fs::is_directory(folder, status)) fail("make", folder, reason);
  }
  sync_folder(folder_of(folder));
}

void sync_folder(const fs::path& folder) {
  const OpenFile handle("flush", folder, O_RDONLY | O_DIRECTORY);
  // EINVAL: a file system that cannot, and needs no more.
  if (insist([&] { return files().fsync(handle.fd()); }) < 0 && errno != EINVAL) {
    fail("flush", folder, errno);
  }
}

void sync_file(const fs::path& file) {
  std::error_code status;
  if (!fs::exists(file, status)) return;
  const OpenFile handle("flush", file, O_RDONLY);
  require("flush", file, [&] { return files().fsync(handle.fd()); });
}

std::vector<fs::path> list_folder(const fs::path& folder) {
  std::vector<fs::path> inside;
  std::error_code status;
  for (fs::directory_iterator entry(folder, status), end; !status && entry != end;
       entry.increment(status)) {
    inside.push_back(entry->path());
  }
  if (status) fail("read", folder, status.value());
  return inside;
}

void remove_tree(const fs::path& path) {
  std::error_code status;
  if (fs::symlink_status(path, status).type() != fs::file_type::directory) {
    unlink_if_there(path);
    return;
  }
  for (const fs::path& each : list_folder(path)) remove_tree(each);
  require("remove", path, [&] { return files().rmdir(path); });
}

void replace_folder(const fs::path& from, const fs::path& to) {
  const auto move = [&](const fs::path& source, const fs::path& target) {
    require("write", to, [&] { return files().rename(source, target); });
  };
  std::error_code status;
  if (!fs::exists(to, status)) {
    move(from, to);
    sync_folder(folder_of(to));
    return;
  }
  fs::path old = from;
  if (insist([&] { return files().exchange(from, to); }) < 0) {
    if (errno != EINVAL && errno != ENOSYS) fail("write", to, errno);
    old += ".old";  // a file system that cannot exchange
    remove_tree(old);
    move(to, old);
    try {
      move(from, to);
    } catch (const Error&) {
      try_to([&] { move(old, to); });
      throw;
    }
  }
  sync_folder(folder_of(to));  // first, so that what a crash may bring back is whole
  remove_tree(old);
}

void point_link(const fs::path& link, const fs::path& target) {
  const fs::path temporary = folder_of(link) / fmt::format(".{}.tmp", link.filename().string());
  unlink_if_there(temporary);
  require("write", link, [&] { return files().symlink(target, temporary); });
  require("write", link, [&] { return files().rename(temporary, link); });
  sync_folder(folder_of(link));
}

LineFile::~LineFile() {
  if (fd_ >= 0) files().close(fd_);
}

void LineFile::open(const fs::path& file) {
  if (fd_ >= 0) files().close(fd_);
  fd_ = -1;
  kept_.clear();
  file_ = file;
}

void LineFile::append(const std::string& line) {
  kept_ += line + '\n';
  flush();
}

void LineFile::flush() {
  if (kept_.empty()) return;
  if (fd_ < 0) {
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    fd_ = insist([&] { return files().open(file_, flags); });
    if (fd_ < 0) fail("write", file_, errno);
  }
  while (!kept_.empty()) {
    const ssize_t written =
        insist([&] { return files().write(fd_, std::as_bytes(std::span(kept_))); });
    if (written <= 0) fail("write", file_, written < 0 ? errno : EIO);
    kept_.erase(0, static_cast<std::size_t>(written));
  }
}

}  // namespace masque
