// Saves on a file system that fails.
#include <atomic>
#include <cerrno>
#include <thread>

#include "kernels/backend.h"
#include "models/checkpoint_writer.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_files.h"
#include "tests/support/toy_checkpoint.h"

namespace fs = std::filesystem;
using namespace masque;
using Catch::Contains;
using test::FaultyFiles;
using test::is_toy;
using test::save_toy;
using test::Scratch;

namespace {

// A snapshot of a trainer that never was.
Snapshot toy_snapshot(std::int64_t step) {
  Snapshot snapshot;
  snapshot.step = step;
  const std::vector<float> values = test::toy_values(step, 0);
  for (HostCopies* copies : {&snapshot.weights, &snapshot.moments}) {
    copies->add(On<Cpu, float>{}, "first", {3}, DType::f32, values.data());
    copies->add(On<Cpu, float>{}, "second", {97}, DType::f32, values.data() + 3);
  }
  snapshot.state = std::to_string(step);
  return snapshot;
}

std::string target(const RunFolder& run, const char* link) {
  return fs::read_symlink(run.path() / "checkpoints" / link).string();
}

// Waits, as training would, until a condition holds.
template <class Condition>
void poll_until(CheckpointWriter& writer, Condition condition) {
  for (int i = 0; i < 10'000 && !condition(); ++i) {
    writer.poll();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  REQUIRE(condition());
}

}  // namespace

TEST_CASE("whatever fails in a save, the checkpoint before it stays, and the next try succeeds",
          "[cpu]") {
  struct Fault {
    int reason;
    const char* words;
    std::int64_t length;  // in operations
  };
  constexpr std::int64_t kForGood = 1'000'000;
  const Fault fault =
      GENERATE(Fault{ENOSPC, "No space left", 1}, Fault{ENOSPC, "No space left", kForGood},
               Fault{EIO, "Input/output error", 1}, Fault{EACCES, "Permission denied", 1},
               Fault{EROFS, "Read-only file system", kForGood}, Fault{0, "short writes", kForGood});
  const Scratch scratch;
  FaultyFiles faulty;
  const WithFileSystem replaced(faulty);
  const RunFolder run(scratch / "run");
  run.create();
  save_toy(run, 10);
  faulty.heal();
  save_toy(run, 20);
  const std::int64_t operations = faulty.operations();
  REQUIRE(operations > 40);

  std::int64_t failures = 0;
  for (std::int64_t first = 0; first < operations; ++first) {
    INFO(fault.words << " from operation " << first << " on, for " << fault.length);
    const std::int64_t before = 10 * (first + 2), step = before + 10;
    faulty.fail(first, fault.reason, fault.length);
    bool failed = false;
    try {
      save_toy(run, step);
    } catch (const Error& error) {
      failed = true;
      ++failures;
      CHECK_THAT(error.what(), Contains(fault.words) && Contains(scratch.path().string()));
    }
    const WholeCheckpoint last = run.whole_checkpoint("last", Scope::everything);
    const WholeCheckpoint best = run.whole_checkpoint("best", Scope::everything);
    CHECK(last.note.empty());
    CHECK(best.note.empty());
    CHECK((is_toy(last.folder, step) || (failed && is_toy(last.folder, before))));
    CHECK((is_toy(best.folder, step) || (failed && is_toy(best.folder, before))));
    faulty.heal();
    if (failed) save_toy(run, step);
    CHECK(is_toy(run.whole_checkpoint("last", Scope::everything).folder, step));
    // Nothing left over: the checkpoint and two links.
    const fs::directory_iterator all(run.path() / "checkpoints");
    CHECK(std::distance(all, fs::directory_iterator()) == 3);
  }
  if (fault.reason == 0) CHECK(failures == 0);
  if (fault.reason != 0) CHECK(failures > operations * 3 / 4);
}

TEST_CASE("whatever fails in going back, no checkpoint is left half removed", "[cpu]") {
  const Scratch scratch;
  FaultyFiles faulty;
  const WithFileSystem replaced(faulty);
  const RunFolder run(scratch / "run");
  run.create();
  const auto save_all = [&] {
    for (const std::int64_t step : {10, 20, 30}) save_toy(run, step, true, 3);
  };
  save_all();
  faulty.heal();
  CHECK(run.go_back_to(15).filename() == "step_10");
  const std::int64_t operations = faulty.operations();
  REQUIRE(operations > 10);
  for (std::int64_t first = 0; first < operations; ++first) {
    INFO("from operation " << first << " on");
    faulty.heal();
    save_all();
    faulty.fail(first, EIO);
    CHECK_THROWS_AS(run.go_back_to(15), Error);
    for (const std::int64_t step : run.steps()) {
      CHECK(is_toy(run.checkpoint(std::to_string(step)), step));
    }
    faulty.heal();
    CHECK(run.go_back_to(15).filename() == "step_10");
    CHECK(run.steps() == std::vector<std::int64_t>{10});
    CHECK(target(run, "last") == "step_10");
    CHECK(target(run, "best") == "step_10");
  }
}

TEST_CASE("a failed save is told once, tried again, and told when it is mended", "[cpu]") {
  const Scratch scratch;
  FaultyFiles faulty;
  const WithFileSystem replaced(faulty);
  const RunFolder run(scratch / "run");
  run.create();
  std::vector<std::string> said;
  CheckpointWriter writer(run, 5, [&](const std::string& text) { said.push_back(text); });
  writer.save(toy_snapshot(10), true);
  writer.finish();
  CHECK(said.empty());

  faulty.fail(0, ENOSPC);
  writer.save(toy_snapshot(20), true);
  poll_until(writer, [&] { return !said.empty(); });
  CHECK_THAT(said[0], Contains("step 20: not saved: cannot flush") &&
                          Contains("No space left on device; free some space there") &&
                          Contains("training goes on"));
  CHECK(target(run, "last") == "step_10");
  writer.save(toy_snapshot(25), false);  // both wait: the best, and the newest
  writer.save(toy_snapshot(30), false);
  for (int i = 0; i < 20; ++i) writer.poll();
  CHECK_THROWS_WITH(writer.finish(), Contains("step 30 is not saved") && Contains("No space left"));
  CHECK(said.size() == 1);
  CHECK(target(run, "best") == "step_10");

  faulty.heal();
  poll_until(writer, [&] { return fs::exists(run.path() / "checkpoints/step_30/manifest.json"); });
  writer.finish();
  CHECK(target(run, "best") == "step_20");
  CHECK(target(run, "last") == "step_30");
  CHECK(run.steps() == std::vector<std::int64_t>{10, 20, 30});
  REQUIRE(said.size() == 2);
  CHECK(said[1] == "step 20: saved after all");
  CHECK(is_toy(run.whole_checkpoint("best", Scope::everything).folder, 20));
}

TEST_CASE("a save is written beside the training, one at a time", "[cpu]") {
  // Every write waits until it is let through.
  class SlowFiles : public FileSystem {
   public:
    ssize_t write(int fd, std::span<const std::byte> bytes) override {
      ++waiting;
      open_.wait(false);
      return FileSystem::write(fd, bytes);
    }
    int fsync(int) override { return 0; }
    void let_through() {
      open_ = true;
      open_.notify_all();
    }
    std::atomic<int> waiting = 0;

   private:
    std::atomic<bool> open_ = false;
  };
  const Scratch scratch;
  const RunFolder run(scratch / "run");
  run.create();
  SlowFiles slow;
  const WithFileSystem replaced(slow);
  CheckpointWriter writer(run, 5, [](const std::string&) {});
  writer.save(toy_snapshot(10), true);
  for (int i = 0; i < 10; ++i) writer.poll();  // training goes on
  CHECK_FALSE(fs::exists(run.path() / "checkpoints/last"));
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(slow.waiting <= 1);
    slow.let_through();
  });
  writer.save(toy_snapshot(20), true);  // waits for the first
  CHECK(target(run, "last") == "step_10");
  writer.finish();
  later.join();
  CHECK(target(run, "last") == "step_20");
}
