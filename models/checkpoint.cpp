#include "models/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>

#include "core/check.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

const std::string kPrefix = "step_";

std::string folder_name(std::int64_t step) {
  return kPrefix + std::to_string(step);
}

// Hidden names, so that a half-written or half-removed checkpoint is never taken for one.
std::string temporary_name(std::int64_t step) {
  return fmt::format(".{}.tmp", folder_name(step));
}

std::optional<std::int64_t> parse_step(const std::string& text) {
  std::int64_t step = 0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, step);
  if (result.ec != std::errc() || result.ptr != end || step < 0) return std::nullopt;
  return step;
}

std::optional<std::int64_t> step_of(const std::string& name) {
  if (name.compare(0, kPrefix.size(), kPrefix) != 0) return std::nullopt;
  return parse_step(name.substr(kPrefix.size()));
}

// The step that a link names, where it is a link to an existing folder.
std::optional<std::int64_t> step_of_link(const fs::path& link) {
  std::error_code status;
  const fs::path target = fs::read_symlink(link, status);
  if (status || !fs::is_directory(link, status)) return std::nullopt;
  return step_of(target.filename().string());
}

// Puts `from` in the place of `to`; what was there ends up at `from`, and is removed.
void replace_folder(const fs::path& from, const fs::path& to) {
  if (!fs::exists(to)) {
    fs::rename(from, to);
    return;
  }
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) != 0) {
    fs::remove_all(to);  // a file system that cannot exchange
    fs::rename(from, to);
    return;
  }
  fs::remove_all(from);
}

template <class Work>
void guarded(const fs::path& path, Work&& work) {
  try {
    work();
  } catch (const fs::filesystem_error& error) {
    throw Error(fmt::format("cannot write {}: {}", path.string(), error.code().message()));
  }
}

}  // namespace

void RunFolder::create() const {
  std::error_code status;
  if (fs::exists(path_, status)) {
    if (!fs::is_directory(path_, status)) {
      throw InputError(fmt::format("{} is a file: name another run folder", path_.string()));
    }
    if (!fs::is_empty(path_, status)) {
      throw InputError(fmt::format(
          "{} exists and is not empty: continue it with --resume, or name another run folder",
          path_.string()));
    }
  }
  fs::create_directories(path_, status);
  if (status) {
    throw InputError(fmt::format("cannot make the run folder {}: {}: name another", path_.string(),
                                 status.message()));
  }
}

void RunFolder::require() const {
  if (!fs::is_directory(path_)) {
    throw InputError(fmt::format("no run folder {}: make it with masque train", path_.string()));
  }
  if (!fs::exists(config())) {
    throw InputError(fmt::format("{} is no run folder: it has no config.json", path_.string()));
  }
}

std::vector<std::int64_t> RunFolder::steps() const {
  std::vector<std::int64_t> found;
  std::error_code status;
  for (fs::directory_iterator entry(checkpoints(), status), end; !status && entry != end;
       entry.increment(status)) {
    const std::optional<std::int64_t> step = step_of(entry->path().filename().string());
    if (step && entry->is_directory()) found.push_back(*step);
  }
  std::sort(found.begin(), found.end());
  return found;
}

fs::path RunFolder::checkpoint(const std::string& which) const {
  const bool link = which == "best" || which == "last";
  const std::optional<std::int64_t> step =
      link ? step_of_link(checkpoints() / which) : parse_step(which);
  if (step && fs::is_directory(checkpoints() / folder_name(*step))) {
    return checkpoints() / folder_name(*step);
  }

  std::string existing;
  const auto name = [&existing](const std::string& text) {
    existing += (existing.empty() ? "" : ", ") + text;
  };
  for (const char* const each : {"best", "last"}) {
    if (step_of_link(checkpoints() / each)) name(each);
  }
  for (const std::int64_t each : steps()) name(std::to_string(each));
  throw InputError(fmt::format("{} has no checkpoint \"{}\": {}", path_.string(), which,
                               existing.empty() ? "none was saved yet" : "it has " + existing));
}

void RunFolder::mark_best(std::int64_t step) const {
  CHECK(fs::is_directory(checkpoints() / folder_name(step)), "{}: step {} was not saved",
        path_.string(), step);
  point("best", step);
}

fs::path RunFolder::begin_checkpoint(std::int64_t step) const {
  const fs::path temporary = checkpoints() / temporary_name(step);
  guarded(temporary, [&] {
    fs::create_directories(checkpoints());
    std::vector<fs::path> leftovers;  // of a run that was killed while saving
    for (const fs::directory_entry& entry : fs::directory_iterator(checkpoints())) {
      if (entry.path().filename().string().compare(0, kPrefix.size() + 1, "." + kPrefix) == 0) {
        leftovers.push_back(entry.path());
      }
    }
    for (const fs::path& leftover : leftovers) fs::remove_all(leftover);
    fs::create_directory(temporary);
  });
  return temporary;
}

void RunFolder::commit_checkpoint(std::int64_t step, bool best, std::int64_t keep) const {
  const fs::path folder = checkpoints() / folder_name(step);
  guarded(folder, [&] { replace_folder(checkpoints() / temporary_name(step), folder); });
  point("last", step);
  if (best) point("best", step);
  prune(keep);
}

void RunFolder::point(const std::string& link, std::int64_t step) const {
  const fs::path temporary = checkpoints() / ("." + link + ".tmp");
  guarded(checkpoints() / link, [&] {
    fs::remove(temporary);
    fs::create_directory_symlink(folder_name(step), temporary);
    fs::rename(temporary, checkpoints() / link);
  });
}

void RunFolder::prune(std::int64_t keep) const {
  const std::vector<std::int64_t> saved = steps();
  const auto best = step_of_link(checkpoints() / "best");
  const auto last = step_of_link(checkpoints() / "last");
  const auto old = static_cast<std::int64_t>(saved.size()) - std::max<std::int64_t>(keep, 0);
  for (std::int64_t i = 0; i < old; ++i) {
    const std::int64_t step = saved[static_cast<std::size_t>(i)];
    if (step == best || step == last) continue;
    const fs::path hidden = checkpoints() / temporary_name(step);
    guarded(hidden, [&] {
      fs::rename(checkpoints() / folder_name(step), hidden);
      fs::remove_all(hidden);
    });
  }
}

}  // namespace masque
