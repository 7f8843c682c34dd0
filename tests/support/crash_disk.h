// A file layer that remembers what it was asked, and what a disk may hold after a loss of power.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "models/files.h"

namespace masque::test {

// Works on the system's files under `root`, a folder that is empty at first, and keeps a record.
//
// What lasts: a file's bytes once it is flushed, a folder's names once the folder is. Until then
// bytes may be there, cut short, wrong or missing, and each change of a folder's names may be there
// or not, a rename whole or not at all.
class CrashDisk : public FileSystem {
 public:
  explicit CrashDisk(Path root);
  // Of a disk that does not do what it says: nothing ever lasts by it.
  void ignore_flushes() { ignores_flushes_ = true; }
  std::size_t operations() const { return record_.size(); }

  // Path below root -> "/" for a folder, "@" and its target for a link, "=" and its bytes for a
  // file. Without names that begin with a dot.
  using Tree = std::map<std::string, std::string>;
  // What may be there after the first `count` operations and a loss of power.
  std::set<Tree> crashes(std::size_t count) const;
  static void make(const Tree& tree, const Path& root);

  int open(const Path& file, int flags) override;
  ssize_t write(int fd, std::span<const std::byte> bytes) override;
  int fsync(int fd) override;
  int close(int fd) override;
  int rename(const Path& from, const Path& to) override;
  int exchange(const Path& a, const Path& b) override;
  int symlink(const Path& target, const Path& link) override;
  int mkdir(const Path& folder) override;
  int unlink(const Path& file) override;
  int rmdir(const Path& folder) override;

 private:
  using Names = std::map<std::string, int>;  // in a folder: its nodes; −1: no longer there
  enum class Kind { file, folder, link };
  struct Node {
    Kind kind;
    std::string target;  // of a link
  };
  struct Operation {
    enum class Kind { names, write, cut, flush } kind;
    int node;
    Names names;        // that change, at once
    std::string bytes;  // written
  };
  struct Disk;  // after some operations

  int find(const Path& path) const;  // the node, or −1
  int add(Kind kind, const std::string& target = "");
  void change(const Path& folder, Names names);
  static Path folder_of(const Path& path) { return path.parent_path(); }
  static std::string name_of(const Path& path) { return path.filename().string(); }

  Path root_;
  bool ignores_flushes_ = false;
  std::vector<Node> nodes_;
  std::map<int, Names> now_;   // by folder
  std::map<int, int> opened_;  // by descriptor
  std::vector<Operation> record_;
};

}  // namespace masque::test
