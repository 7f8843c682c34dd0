// What is left of a run after a loss of power at any moment of its saves.
#include <algorithm>
#include <map>
#include <utility>

#include "kernels/backend.h"
#include "tests/support/catch.h"
#include "tests/support/crash_disk.h"
#include "tests/support/toy_checkpoint.h"

namespace fs = std::filesystem;
using namespace masque;
using test::CrashDisk;
using test::is_toy;
using test::save_toy;
using test::Scratch;

namespace {

struct Saved {
  std::size_t operations;  // when it was done
  std::int64_t step;
  int version;
};

// Saves of a run, and how far the record was after each.
std::vector<Saved> save_some(CrashDisk& disk, const RunFolder& run) {
  const WithFileSystem replaced(disk);
  std::vector<Saved> saves;
  const auto save = [&](std::int64_t step, bool best, int version) {
    save_toy(run, step, best, 1, version);
    saves.push_back({disk.operations(), step, version});
  };
  save(10, true, 0);
  save(20, true, 0);
  save(20, true, 1);  // again, as after a return to an earlier one
  save(30, false, 0);
  return saves;
}

// Which of the saves is what `which` loads; −1: none was saved yet.
int loaded(const RunFolder& run, const std::string& which, const std::vector<Saved>& saves) {
  try {
    const fs::path folder = run.whole_checkpoint(which, Scope::everything).folder;
    for (std::size_t i = 0; i < saves.size(); ++i) {
      if (is_toy(folder, saves[i].step, saves[i].version)) return static_cast<int>(i);
    }
  } catch (const InputError&) {
  }
  return -1;
}

struct Outcome {
  std::size_t states = 0, lost = 0;  // lost: neither the save before nor the one under way
};

// enough: how many losses end the search.
Outcome crash_everywhere(const CrashDisk& disk, const std::vector<Saved>& saves,
                         std::size_t enough) {
  Outcome outcome;
  std::map<CrashDisk::Tree, std::pair<int, int>> seen;  // what last and best load
  for (std::size_t count = 0; count <= disk.operations() && outcome.lost < enough; ++count) {
    // done: how many saves were.
    const auto done =
        static_cast<int>(std::count_if(saves.begin(), saves.end(), [count](const Saved& each) {
          return each.operations <= count;
        }));
    const bool at_rest = done > 0 && saves[static_cast<std::size_t>(done) - 1].operations == count;
    for (const CrashDisk::Tree& tree : disk.crashes(count)) {
      ++outcome.states;
      if (!seen.contains(tree)) {
        const Scratch scratch;
        CrashDisk::make(tree, scratch.path());
        const RunFolder run(scratch / "run");
        seen[tree] = {loaded(run, "last", saves), loaded(run, "best", saves)};
      }
      const int last = seen[tree].first, best = seen[tree].second;
      const bool last_held = last == done - 1 || (last == done && !at_rest);
      const int newest_best = std::min(done - 1, 2);  // the last save is no best one
      const bool best_held = best == newest_best || (best == done && !at_rest && done < 3);
      if (!last_held || !best_held) ++outcome.lost;
    }
  }
  return outcome;
}

}  // namespace

TEST_CASE("after a loss of power at any moment of its saves, a run loads one of two checkpoints",
          "[cpu]") {
  const Scratch scratch;
  CrashDisk disk(scratch.path());
  const std::vector<Saved> saves = save_some(disk, RunFolder(scratch / "run"));
  const Outcome outcome = crash_everywhere(disk, saves, 1000);
  INFO(disk.operations() << " operations, " << outcome.states << " states");
  CHECK(disk.operations() > 100);
  CHECK(outcome.states > disk.operations());
  CHECK(outcome.lost == 0);
}

TEST_CASE("without its flushes the same saves would lose a run", "[cpu]") {
  const Scratch scratch;
  CrashDisk disk(scratch.path());
  disk.ignore_flushes();
  const std::vector<Saved> saves = save_some(disk, RunFolder(scratch / "run"));
  CHECK(crash_everywhere(disk, saves, 1).lost > 0);
}
