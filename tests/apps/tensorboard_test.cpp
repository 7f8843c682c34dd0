// TensorBoard's files: the framing by known values, and what a run writes by a reader of its own,
// tests/read_events.py.
#include "apps/tensorboard.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "apps/run_events.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"
#include "tests/support/small_run.h"

using Catch::Matchers::Contains;

namespace masque::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

ProcessResult read_events(const fs::path& run) {
  return run_program("/usr/bin/python3",
                     {std::string(MASQUE_ROOT) + "/tests/read_events.py", run.string()});
}

bool can_read_events() {
  if (fs::exists("/usr/bin/python3")) return true;
  WARN("SKIPPED: no /usr/bin/python3, so nobody reads the event files back");
  return false;
}

TEST_CASE("CRC-32C has its published values", "[cpu]") {
  // RFC 3720, B.4, and the check value of the catalogue of parametrised CRC algorithms.
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  const std::string falling(rising.rbegin(), rising.rend());
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xE3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);
  CHECK(crc32c(rising) == 0x46DD794E);
  CHECK(crc32c(falling) == 0x113FDB5C);
}

TEST_CASE("a record is length, bytes and two masked CRCs", "[cpu]") {
  // Of the bytes "123456789": mask = rotate right by 15, plus 0xA282EAD8.
  const std::string record = tf_record("123456789");
  REQUIRE(record.size() == 8 + 4 + 9 + 4);
  CHECK(record.substr(0, 8) == std::string("\x09\0\0\0\0\0\0\0", 8));
  CHECK(record.substr(12, 9) == "123456789");
  const std::uint32_t masked = 0xC78AB0E5;  // by hand from 0xE3069283
  for (int byte = 0; byte < 4; ++byte) {
    CHECK(static_cast<unsigned char>(record[21 + static_cast<std::size_t>(byte)]) ==
          (masked >> (8 * byte) & 0xFF));
  }
}

// The event of the last record of a file, after its wall_time.
std::string last_event(const fs::path& file, std::size_t& before) {
  std::string record = slurp(file);
  const std::size_t size = record.size();
  record.erase(0, before + 12 + 9);
  before = size;
  record.resize(record.size() - 4);
  return record;
}

TEST_CASE("an event is the message that event.proto says", "[cpu]") {
  const Scratch folder;
  const fs::path file = folder / "events";
  EventWriter writer(file, [](const std::string& line) { FAIL(line); });
  CHECK(slurp(file)[12] == '\x09');  // wall_time, a double
  std::size_t before = 0;
  CHECK(last_event(file, before) == std::string("\x10\0\x1a\x0d", 4) + "brain.Event:2");
  writer.scalars(300, {{"loss/val", 1.5, ""}});
  CHECK(last_event(file, before) ==
        std::string("\x10\xac\x02\x2a\x11\x0a\x0f\x0a\x08loss/val\x15\0\0\xc0\x3f", 22));
  writer.start(7);
  CHECK(last_event(file, before) == std::string("\x10\x07\x3a\x02\x08\x01", 6));
}

TEST_CASE("a file that cannot be written is given up, and said once", "[cpu]") {
  const Scratch folder;
  for (const fs::path& file : {folder / "missing" / "events", fs::path("/dev/full")}) {
    std::vector<std::string> warnings;
    EventWriter writer(file, [&](const std::string& line) { warnings.push_back(line); });
    for (int step = 0; step < 3; ++step) {
      writer.scalars(step, {{"loss/val", 1, ""}});
      writer.text(step, "sample", "text");
      writer.start(step);
    }
    INFO(file);
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], Contains(file.string()) && Contains("cannot be written"));
  }
}

TEST_CASE("a run's event files say what its metrics and samples say", "[cpu]") {
  if (!can_read_events()) return;
  const std::string objective = GENERATE("llada", "ar");
  const SmallRun run(objective, {"steps=6", "log_every=1", "eval_every=2"});
  const fs::path folder = run.path();
  REQUIRE(event_files(folder).size() == 1);
  ProcessResult result = read_events(folder);
  INFO(result.err);
  REQUIRE(result.code == 0);
  // 6 steps of 7 numbers, 3 evaluations of 2 splits of 2; the configuration and 3 samples.
  CHECK(Json::parse(result.out) ==
        Json({{"files", 1}, {"scalars", 54}, {"texts", 4}, {"dropped", 0}}));

  // What the reader is worth: a flipped bit, a cut, another number, a line that is not there.
  const fs::path file = event_files(folder)[0];
  const std::string whole = slurp(file), metrics = slurp(folder / "metrics.jsonl");
  const auto fails = [&](const std::string& why) {
    result = read_events(folder);
    INFO(result.out << result.err);
    CHECK(result.code == 1);
    CHECK_THAT(result.err, Contains(why));
    spill(file, whole);
    spill(folder / "metrics.jsonl", metrics);
  };
  std::string damaged = whole;
  damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 4);
  spill(file, damaged);
  fails("CRC of the");
  spill(file, whole.substr(0, whole.size() - 3));
  fails("cut off in the record");
  spill(folder / "metrics.jsonl", metrics.substr(metrics.find('\n') + 1));
  fails("only in the events: (1, ");
  std::string changed = metrics;
  changed[changed.find("\"accuracy\":0.") + 13] = '9';
  spill(folder / "metrics.jsonl", changed);
  fails("not in the events: (1, 'accuracy/train'");
}

TEST_CASE("steps that a resumed run repeats are dropped from the older file", "[cpu]") {
  if (!can_read_events()) return;
  const SmallRun run("ar", {"steps=6", "log_every=1", "eval_every=2", "save_every=2", "keep=9"});
  const fs::path folder = run.path();
  // As it lay there when it was cut off after step 5, of which step 2 is the last that was saved.
  for (const char* step : {"step_4", "step_6"}) fs::remove_all(folder / "checkpoints" / step);
  for (const char* name : {"best", "last"}) {
    fs::remove(folder / "checkpoints" / name);
    fs::create_symlink("step_2", folder / "checkpoints" / name);
  }
  const fs::path old = event_files(folder)[0];
  ProcessResult result = run.masque("train", {"--resume"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  REQUIRE(event_files(folder).size() == 2);
  CHECK(event_files(folder)[0] == old);
  result = read_events(folder);
  INFO(result.err);
  REQUIRE(result.code == 0);
  // Steps 3 to 6: 4 of 7 numbers, 2 evaluations of 4, 2 samples.
  CHECK(Json::parse(result.out) ==
        Json({{"files", 2}, {"scalars", 54}, {"texts", 4}, {"dropped", 38}}));
}

TEST_CASE("what is not finite is NaN to TensorBoard, and a new file comes after those there",
          "[cpu]") {
  const Scratch scratch;
  const RunFolder folder(scratch / "run");
  folder.create();
  RunConfig config;
  config.model.vocab_size = 9;
  spill(folder.path() / "events.out.tfevents.4102444800.elsewhere", "");
  RunEvents events(folder, config, std::nullopt, [](const std::string& line) { FAIL(line); });
  events.metrics({{"step", 1}, {"split", "val"}, {"loss", nullptr}, {"accuracy", 0.5}});
  const std::vector<fs::path> files = event_files(folder.path());
  REQUIRE(files.size() == 2);
  CHECK(files[1].filename() == "events.out.tfevents.4102444801.masque");
  CHECK_THAT(slurp(files[1]), Contains(std::string("loss/val\x15\0\0\xc0\x7f", 13)));
  CHECK_THAT(slurp(files[1]), Contains("an upper bound (≤)"));
}

}  // namespace
}  // namespace masque::test
