#include "models/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>

#include "core/check.h"
#include "models/files.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

const std::string kPrefix = "step_";
const char* const kLock = ".lock";

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

}  // namespace

bool RunFolder::empty() const {
  const std::vector<fs::path> inside = list_folder(path_);
  return std::all_of(inside.begin(), inside.end(),
                     [](const fs::path& each) { return each.filename() == kLock; });
}

RunLock RunFolder::create() const {
  std::error_code status;
  const auto refuse_if_used = [&] {
    if (!fs::exists(path_, status)) return;
    if (!fs::is_directory(path_, status)) {
      throw InputError(fmt::format("{} is a file: name another run folder", path_.string()));
    }
    if (!empty()) {
      throw InputError(fmt::format(
          "{} exists and is not empty: continue it with --resume, or name another run folder",
          path_.string()));
    }
  };
  refuse_if_used();
  try {
    make_folder(path_);
  } catch (const Error& error) {
    throw InputError(fmt::format("{}, or name another run folder", error.what()));
  }
  RunLock held = lock();
  refuse_if_used();  // another process may have come and gone
  return held;
}

RunLock RunFolder::lock() const {
  return RunLock(path_ / kLock);
}

void RunFolder::require() const {
  std::error_code status;
  if (!fs::is_directory(path_, status)) {
    throw InputError(fmt::format("no run folder {}: make it with masque train", path_.string()));
  }
  if (!fs::exists(config(), status)) {
    throw InputError(fmt::format("{} is no run folder: it has no config.json", path_.string()));
  }
}

std::vector<std::int64_t> RunFolder::steps() const {
  std::vector<std::int64_t> found;
  std::error_code status;
  if (fs::status(checkpoints(), status).type() == fs::file_type::not_found) return found;
  for (const fs::path& each : list_folder(checkpoints())) {
    const std::optional<std::int64_t> step = step_of(each.filename().string());
    if (!step) continue;
    // What is there and cannot be looked at counts: it may be worth keeping.
    const fs::file_type type = fs::status(each, status).type();
    if (type == fs::file_type::directory || type == fs::file_type::none) found.push_back(*step);
  }
  std::sort(found.begin(), found.end());
  return found;
}

fs::path RunFolder::checkpoint(const std::string& which) const {
  const bool link = which == "best" || which == "last";
  const std::optional<std::int64_t> step =
      link ? step_of_link(checkpoints() / which) : parse_step(which);
  std::error_code status;
  if (step && fs::is_directory(checkpoints() / folder_name(*step), status)) {
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

WholeCheckpoint RunFolder::whole_checkpoint(const std::string& which, Scope scope) const {
  const auto verified = [&](const fs::path& folder) -> WholeCheckpoint {
    if (verify_checkpoint(folder, scope)) return {folder, ""};
    return {folder,
            fmt::format("{}: has no manifest.json, so it could not be verified: it is of an "
                        "older masque, or damaged",
                        folder.string())};
  };
  std::error_code status;
  // `last` exists wherever a checkpoint does; `best` need not.
  const bool may_replace =
      which == "last" || (which == "best" && fs::is_symlink(checkpoints() / which, status));
  std::vector<std::int64_t> others = steps();
  fs::path asked;
  std::string reason;
  try {
    asked = checkpoint(which);
  } catch (const InputError& error) {
    if (!may_replace || others.empty()) throw;
    reason = error.what();
  }
  try {
    if (!asked.empty()) return verified(asked);
  } catch (const InputError& error) {
    reason = error.what();
  }
  if (!may_replace) throw InputError(reason + "; use another checkpoint");
  std::erase(others, step_of(asked.filename().string()).value_or(-1));
  for (auto step = others.rbegin(); step != others.rend(); ++step) {
    try {
      WholeCheckpoint found = verified(checkpoints() / folder_name(*step));
      found.note = fmt::format("{}; taking step {}, the newest that is whole, for \"{}\"{}{}",
                               reason, *step, which, found.note.empty() ? "" : "; ", found.note);
      return found;
    } catch (const InputError&) {
      continue;  // damaged too
    }
  }
  throw InputError(reason + "; no other checkpoint is whole");
}

void RunFolder::save_checkpoint(std::int64_t step, bool best, std::int64_t keep,
                                const std::function<void(CheckpointFiles&)>& write) const {
  make_folder(checkpoints());
  sync_folder(checkpoints());  // so that no crash brings back, half removed, what is removed here
  remove_leftovers();
  fill(step, write);
  replace_folder(checkpoints() / temporary_name(step), checkpoints() / folder_name(step));
  // Best first: a run that goes on from the last one has the best one of then.
  if (best) point("best", step);
  point("last", step);
  prune(keep);
}

void RunFolder::remove_leftovers() const {
  for (const fs::path& each : list_folder(checkpoints())) {
    if (each.filename().string().starts_with("." + kPrefix)) remove_tree(each);
  }
}

void RunFolder::fill(std::int64_t step, const std::function<void(CheckpointFiles&)>& write) const {
  const fs::path temporary = checkpoints() / temporary_name(step);
  try {
    try {
      sync_file(metrics());  // the log of the steps that this checkpoint stands for
    } catch (const Error&) {
      // A log that fails is told of by what writes it, and stops no save.
    }
    make_folder(temporary);
    CheckpointFiles files(temporary);
    write(files);
    files.finish();
    sync_folder(temporary);
  } catch (const std::exception&) {
    try {
      remove_tree(temporary);  // on a full disk the next try needs the room
    } catch (const Error&) {
      // What failed first is what is told.
    }
    throw;
  }
}

fs::path RunFolder::go_back_to(std::int64_t step) const {
  const std::vector<std::int64_t> saved = steps();
  for (auto good = saved.rbegin(); good != saved.rend(); ++good) {
    if (*good > step) continue;
    const fs::path folder = checkpoints() / folder_name(*good);
    try {
      verify_checkpoint(folder, Scope::everything);
    } catch (const InputError&) {
      continue;
    }
    for (const char* link : {"best", "last"}) {
      const auto at = step_of_link(checkpoints() / link);
      if (at && *at > *good) point(link, *good);
    }
    drop({good.base(), saved.end()});
    return folder;
  }
  throw InputError(
      fmt::format("{} has no whole checkpoint of step {} or before", path_.string(), step));
}

void RunFolder::point(const std::string& link, std::int64_t step) const {
  point_link(checkpoints() / link, folder_name(step));
}

void RunFolder::prune(std::int64_t keep) const {
  const std::vector<std::int64_t> saved = steps();
  const auto best = step_of_link(checkpoints() / "best");
  const auto last = step_of_link(checkpoints() / "last");
  const auto old = static_cast<std::int64_t>(saved.size()) - std::max<std::int64_t>(keep, 0);
  std::vector<std::int64_t> unwanted;
  for (std::int64_t i = 0; i < old; ++i) {
    const std::int64_t step = saved[static_cast<std::size_t>(i)];
    if (step != best && step != last) unwanted.push_back(step);
  }
  drop(unwanted);
}

void RunFolder::drop(const std::vector<std::int64_t>& steps) const {
  if (steps.empty()) return;
  remove_leftovers();  // they may have the names that are wanted
  for (const std::int64_t step : steps) {
    replace_folder(checkpoints() / folder_name(step), checkpoints() / temporary_name(step));
  }
  remove_leftovers();
}

}  // namespace masque
