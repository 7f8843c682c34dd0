// The file layer: the one way by which what must last of a run reaches the disk. Functions throw
// Error: which file, the system's reason, the mend. Tests put another FileSystem in place of the
// system's, which fails or remembers.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace masque {

// What is asked of the system, each as the call of its name: negative, with errno, where it fails.
class FileSystem {
 public:
  using Path = std::filesystem::path;
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  virtual ~FileSystem() = default;

  virtual int open(const Path& file, int flags);
  virtual ssize_t write(int fd, std::span<const std::byte> bytes);
  virtual int fsync(int fd);
  virtual int close(int fd);
  virtual int rename(const Path& from, const Path& to);
  virtual int exchange(const Path& a, const Path& b);  // at once; both exist
  virtual int symlink(const Path& target, const Path& link);
  virtual int mkdir(const Path& folder);
  virtual int unlink(const Path& file);
  virtual int rmdir(const Path& folder);
};

// Every write goes through `other` until the end of the scope.
class WithFileSystem {
 public:
  explicit WithFileSystem(FileSystem& other);
  WithFileSystem(const WithFileSystem&) = delete;
  WithFileSystem& operator=(const WithFileSystem&) = delete;
  ~WithFileSystem();

 private:
  FileSystem* previous_;
};

// Writes to a temporary name beside `file`, flushes, renames, and flushes the folder: a reader,
// also one after a loss of power, sees the old file or the whole new one.
void write_file(const std::filesystem::path& file, std::span<const std::byte> bytes);
void write_file(const std::filesystem::path& file, const std::string& text);
// The parts, one after the other.
void write_file(const std::filesystem::path& file,
                std::span<const std::span<const std::byte>> parts);

void make_folder(const std::filesystem::path& folder);  // and those above it; flushed
void sync_folder(const std::filesystem::path& folder);  // the names in it
void sync_file(const std::filesystem::path& file);      // what it holds, where it exists
std::vector<std::filesystem::path> list_folder(const std::filesystem::path& folder);
void remove_tree(const std::filesystem::path& path);  // a file, or a folder with all it holds
// Puts `from`, a folder, in the place of `to` at once, and flushes; what was there is removed.
void replace_folder(const std::filesystem::path& from, const std::filesystem::path& to);
// Makes `link` a symbolic link to `target` at once, and flushes.
void point_link(const std::filesystem::path& link, const std::filesystem::path& target);

// A file of lines that grows. A line that cannot be written is kept and goes out with the next.
class LineFile {
 public:
  LineFile() = default;
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;
  ~LineFile();

  void open(const std::filesystem::path& file);  // at the first line; gives up another
  void append(const std::string& line);          // Error where it, or one before, is not written
  void flush();                                  // tries again what is kept; Error as above
  std::size_t kept() const { return kept_.size(); }  // bytes

 private:
  std::filesystem::path file_;
  int fd_ = -1;
  std::string kept_;  // not yet written
};

}  // namespace masque
