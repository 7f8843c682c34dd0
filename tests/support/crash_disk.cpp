#include "tests/support/crash_disk.h"

#include <fcntl.h>

#include <fstream>
#include <functional>
#include <random>
#include <stdexcept>

namespace masque::test {

namespace fs = std::filesystem;

namespace {

constexpr int kDraws = 12;  // random outcomes, besides the regular ones

}  // namespace

struct CrashDisk::Disk {
  struct File {
    std::string bytes, flushed;
  };
  struct Folder {
    Names flushed;
    std::vector<Names> changes;  // since
  };
  std::map<int, File> files;
  std::map<int, Folder> folders;

  explicit Disk(std::size_t count, const std::vector<Operation>& record) {
    for (std::size_t i = 0; i < count; ++i) {
      const Operation& each = record[i];
      if (each.kind == Operation::Kind::names) folders[each.node].changes.push_back(each.names);
      if (each.kind == Operation::Kind::write) files[each.node].bytes += each.bytes;
      if (each.kind == Operation::Kind::cut) files[each.node].bytes.clear();
      if (each.kind == Operation::Kind::flush) flush(each.node);
    }
  }
  void flush(int node) {
    if (files.contains(node)) files[node].flushed = files[node].bytes;
    if (!folders.contains(node)) return;
    for (const Names& change : folders[node].changes) apply(change, folders[node].flushed);
    folders[node].changes.clear();
  }
  static void apply(const Names& change, Names& names) {
    for (const auto& each : change) {
      if (each.second < 0) {
        names.erase(each.first);
      } else {
        names[each.first] = each.second;
      }
    }
  }
};

CrashDisk::CrashDisk(Path root) : root_(std::move(root)) {
  add(Kind::folder);
}

int CrashDisk::add(Kind kind, const std::string& target) {
  nodes_.push_back({kind, target});
  return static_cast<int>(nodes_.size()) - 1;
}

int CrashDisk::find(const Path& path) const {
  int node = 0;
  for (const fs::path& name : path.lexically_relative(root_)) {
    if (name == ".") continue;
    const auto folder = now_.find(node);
    if (folder == now_.end() || !folder->second.contains(name.string())) return -1;
    node = folder->second.at(name.string());
  }
  return node;
}

void CrashDisk::change(const Path& folder, Names names) {
  const int node = find(folder);
  if (node < 0) throw std::logic_error("crash disk: " + folder.string() + " is not below its root");
  Disk::apply(names, now_[node]);
  record_.push_back({Operation::Kind::names, node, std::move(names), ""});
}

int CrashDisk::open(const Path& file, int flags) {
  const int fd = FileSystem::open(file, flags);
  if (fd < 0) return fd;
  int node = find(file);
  if (node < 0) {
    node = add(Kind::file);
    change(folder_of(file), {{name_of(file), node}});
  } else if ((flags & O_TRUNC) != 0) {
    record_.push_back({Operation::Kind::cut, node, {}, ""});
  }
  opened_[fd] = node;
  return fd;
}

ssize_t CrashDisk::write(int fd, std::span<const std::byte> bytes) {
  const ssize_t written = FileSystem::write(fd, bytes);
  if (written > 0) {
    record_.push_back({Operation::Kind::write,
                       opened_.at(fd),
                       {},
                       std::string(reinterpret_cast<const char*>(bytes.data()),
                                   static_cast<std::size_t>(written))});
  }
  return written;
}

int CrashDisk::fsync(int fd) {
  if (!ignores_flushes_) record_.push_back({Operation::Kind::flush, opened_.at(fd), {}, ""});
  return 0;
}

int CrashDisk::close(int fd) {
  opened_.erase(fd);
  return FileSystem::close(fd);
}

int CrashDisk::rename(const Path& from, const Path& to) {
  const int result = FileSystem::rename(from, to);
  if (result == 0) change(folder_of(from), {{name_of(from), -1}, {name_of(to), find(from)}});
  return result;
}

int CrashDisk::exchange(const Path& a, const Path& b) {
  const int result = FileSystem::exchange(a, b);
  if (result == 0) change(folder_of(a), {{name_of(a), find(b)}, {name_of(b), find(a)}});
  return result;
}

int CrashDisk::symlink(const Path& target, const Path& link) {
  const int result = FileSystem::symlink(target, link);
  if (result == 0) change(folder_of(link), {{name_of(link), add(Kind::link, target.string())}});
  return result;
}

int CrashDisk::mkdir(const Path& folder) {
  const int result = FileSystem::mkdir(folder);
  if (result == 0) change(folder_of(folder), {{name_of(folder), add(Kind::folder)}});
  return result;
}

int CrashDisk::unlink(const Path& file) {
  const int result = FileSystem::unlink(file);
  if (result == 0) change(folder_of(file), {{name_of(file), -1}});
  return result;
}

int CrashDisk::rmdir(const Path& folder) {
  const int result = FileSystem::rmdir(folder);
  if (result == 0) change(folder_of(folder), {{name_of(folder), -1}});
  return result;
}

std::set<CrashDisk::Tree> CrashDisk::crashes(std::size_t count) const {
  const Disk disk(count, record_);
  std::set<Tree> found;
  // lasts: whether a folder's change does. bytes: what is there of a file.
  const auto note = [&](const std::function<bool(std::size_t, std::size_t)>& lasts,
                        const std::function<std::string(const Disk::File&)>& bytes) {
    Tree tree;
    const std::function<void(int, const std::string&)> walk = [&](int node,
                                                                  const std::string& path) {
      const auto folder = disk.folders.find(node);
      if (folder == disk.folders.end()) return;
      Names names = folder->second.flushed;
      const std::vector<Names>& changes = folder->second.changes;
      for (std::size_t i = 0; i < changes.size(); ++i) {
        if (lasts(i, changes.size())) Disk::apply(changes[i], names);
      }
      for (const auto& each : names) {
        if (each.first.front() == '.') continue;
        const std::string below = path + "/" + each.first;
        const Node& found_node = nodes_[static_cast<std::size_t>(each.second)];
        const auto file = disk.files.find(each.second);
        switch (found_node.kind) {
          case Kind::folder:
            tree[below] = "/";
            walk(each.second, below);
            break;
          case Kind::link:
            tree[below] = "@" + found_node.target;
            break;
          case Kind::file:
            tree[below] = "=" + (file == disk.files.end() ? "" : bytes(file->second));
            break;
        }
      }
    };
    walk(0, "");
    found.insert(std::move(tree));
  };

  const std::vector<std::function<std::string(const Disk::File&)>> fates = {
      [](const Disk::File& file) { return file.flushed; },
      [](const Disk::File& file) { return file.bytes; },
      [](const Disk::File& file) {
        return file.bytes == file.flushed ? file.bytes
                                          : file.bytes.substr(0, file.bytes.size() / 2);
      },
      [](const Disk::File& file) {  // the length without the bytes
        return file.bytes == file.flushed ? file.bytes : std::string(file.bytes.size(), '\0');
      }};
  std::size_t most = 0;
  for (const auto& folder : disk.folders) most = std::max(most, folder.second.changes.size());
  for (const auto& fate : fates) {
    for (std::size_t kept = 0; kept <= most; ++kept) {  // in order
      note([kept](std::size_t i, std::size_t) { return i < kept; }, fate);
      note([kept](std::size_t i, std::size_t size) { return i + kept >= size; }, fate);
    }
  }
  std::mt19937 random(static_cast<unsigned>(count));
  for (int draw = 0; draw < kDraws; ++draw) {
    note([&](std::size_t, std::size_t) { return random() % 2 == 0; },
         [&](const Disk::File& file) { return fates[random() % fates.size()](file); });
  }
  return found;
}

void CrashDisk::make(const Tree& tree, const Path& root) {
  for (const auto& each : tree) {
    const Path path = root / each.first.substr(1);
    const std::string rest = each.second.substr(1);
    if (each.second.front() == '/') fs::create_directory(path);
    if (each.second.front() == '@') fs::create_symlink(rest, path);
    if (each.second.front() == '=') std::ofstream(path, std::ios::binary) << rest;
  }
}

}  // namespace masque::test
