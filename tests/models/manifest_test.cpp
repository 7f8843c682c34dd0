// Checksums: what they are, and that no damage to a checkpoint passes them.
#include "models/manifest.h"

#include <array>
#include <fstream>
#include <numeric>
#include <random>

#include "kernels/backend.h"
#include "models/crc32c.h"
#include "models/source.h"
#include "models/trainer.h"
#include "tests/support/catch.h"
#include "tests/support/smallest_config.h"
#include "tests/support/toy_checkpoint.h"

namespace fs = std::filesystem;
using namespace masque;
using Catch::Contains;
using test::save_toy;
using test::Scratch;
using test::slurp;
using test::spill;

namespace {

std::uint32_t sum_of(const std::string& text) {
  return crc32c(std::as_bytes(std::span(text)));
}

Trainer small_trainer() {
  RunConfig config = test::smallest_config(ObjectiveKind::llada);
  config.training.steps = 3;
  config.training.ema = 0.9;
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  config.model.vocab_size = tokenizer.vocab_size();
  return Trainer(resolve(config), tokenizer,
                 split_tokens(tokenizer.encode(source.generate(400, 3)), 0.8, 0.1),
                 On<Cpu, float>{});
}

// In place: a file that is emptied first costs a flush of the disk on ext4.
void overwrite(const fs::path& file, const std::string& text) {
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary) << text;
  fs::resize_file(file, text.size());
}

// Flips up to eight bits of a text, or cuts it.
std::string damage(std::string text, std::mt19937& random) {
  if (random() % 8 == 0) return text.substr(0, random() % text.size());
  const std::string whole = text;
  const auto flips = 1 + random() % 8;
  for (unsigned flip = 0; flip < flips || text == whole; ++flip) {
    text[random() % text.size()] ^= static_cast<char>(1 << random() % 8);
  }
  return text;
}

// Damages a file of a checkpoint at a time, `count` times; returns how often nobody noticed.
int undetected(int count) {
  const Scratch scratch;
  Trainer trainer = small_trainer();
  trainer.step();
  trainer.save(scratch.path());
  REQUIRE(verify_checkpoint(scratch.path(), Scope::everything));
  const std::array<const char*, 4> names = {"model.safetensors", "optimizer.safetensors",
                                            "state.json", "manifest.json"};
  std::array<std::string, 4> whole;
  for (std::size_t i = 0; i < names.size(); ++i) whole[i] = slurp(scratch / names[i]);
  std::mt19937 random(7);
  int passed = 0;
  for (int i = 0; i < count; ++i) {
    const std::size_t which = random() % names.size();
    overwrite(scratch / names[which], damage(whole[which], random));
    try {
      verify_checkpoint(scratch.path(), Scope::everything);
      ++passed;
    } catch (const InputError&) {
    }
    // Without the manifest's word too, reading ends in an error or a trainer, never in a crash.
    try {
      trainer.load(scratch.path());
    } catch (const InputError&) {
    }
    overwrite(scratch / names[which], whole[which]);
  }
  REQUIRE(verify_checkpoint(scratch.path(), Scope::everything));
  return passed;
}

}  // namespace

TEST_CASE("CRC-32C is that of RFC 3720", "[cpu]") {
  CHECK(sum_of("") == 0);
  CHECK(sum_of("123456789") == 0xe3069283);
  CHECK(sum_of(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(sum_of(std::string(32, '\xff')) == 0x62a8ab43);
  std::string ascending(32, '\0');
  std::iota(ascending.begin(), ascending.end(), '\0');
  CHECK(sum_of(ascending) == 0x46dd794e);
  CHECK(sum_of(std::string(ascending.rbegin(), ascending.rend())) == 0x113fdb5c);

  // In pieces as in one.
  const auto bytes = std::as_bytes(std::span(ascending));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    CHECK(crc32c(bytes.subspan(cut), crc32c(bytes.first(cut))) == 0x46dd794e);
  }
}

TEST_CASE("a manifest names each file and part, and what is damaged is named by it", "[cpu]") {
  const Scratch scratch;
  CheckpointFiles files(scratch.path());
  test::write_toy(files, 3);
  CHECK_THROWS_WITH(files.write("state.json", std::string("4")), Contains("twice"));
  files.finish();
  const std::string manifest = slurp(scratch / "manifest.json");
  CHECK_THAT(manifest, Contains(R"({"part": "second", "bytes": 388, "crc32c": ")"));
  CHECK_THAT(manifest, Contains(fmt::format(R"({{"part": "text", "bytes": 1, "crc32c": "{:08x}"}})",
                                            sum_of("3"))));

  const auto says = [&](const std::string& file, const std::string& text, const std::string& what) {
    const std::string whole = slurp(scratch / file);
    spill(scratch / file, text);
    CHECK_THROWS_WITH(verify_checkpoint(scratch.path(), Scope::everything),
                      Contains(file) && Contains(what));
    spill(scratch / file, whole);
  };
  std::string model = slurp(scratch / "model.safetensors");
  model[8] ^= 1;
  says("model.safetensors", model, "\"header\" is damaged, crc32c");
  model[8] ^= 1;
  model.back() ^= 1;
  says("model.safetensors", model, "\"second\" is damaged, crc32c");
  says("state.json", "33", "too long, 2 bytes where manifest.json promises 1");
  says("state.json", "", "truncated, 0 bytes");
  says("state.json", "4", "\"text\" is damaged");
  says("manifest.json", manifest + " ", "is damaged, by its own crc32c");
  says("manifest.json", "", "is damaged, 0 bytes");
  REQUIRE(verify_checkpoint(scratch.path(), Scope::everything));

  // What is not read is not asked for.
  spill(scratch / "optimizer.safetensors", "");
  CHECK(verify_checkpoint(scratch.path(), Scope::weights));
  fs::remove(scratch / "optimizer.safetensors");
  CHECK_THROWS_WITH(verify_checkpoint(scratch.path(), Scope::everything),
                    Contains("optimizer.safetensors: cannot be read (No such file"));
  fs::remove(scratch / "manifest.json");
  CHECK_FALSE(verify_checkpoint(scratch.path(), Scope::everything));
}

TEST_CASE("a manifest of other contents is refused, whatever its checksum", "[cpu]") {
  const Scratch scratch;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[", "is not JSON"},
      {R"({"files": [],)", "no manifest"},
      {R"({"files": {"../x": []},)", "no manifest"},
      {R"({"files": {"x": 3},)", "no manifest"},
      {R"({"files": {"x": [3]},)", "wants files of parts"},
      {R"({"files": {"x": [{"part": "a", "bytes": -1, "crc32c": "00000000"}]},)", "wants files"},
      {R"({"files": {"x": [{"part": "a", "bytes": 1, "crc32c": "+0000000"}]},)", "hexadecimal"},
      {R"({"files": {"x": [{"part": "a", "bytes": 1, "crc32c": "000"}]},)", "hexadecimal"},
      // Two of 2^63 would add up to the 0 of an empty file.
      {R"({"files": {"x": [{"part": "a", "bytes": 9223372036854775808, "crc32c": "00000000"}]},)",
       "promises a part of 9223372036854775808 bytes"},
  };
  for (const auto& each : cases) {
    INFO(each.first);
    spill(scratch / "manifest.json",
          each.first + fmt::format("\"crc32c\": \"{:08x}\"}}\n", sum_of(each.first)));
    CHECK_THROWS_WITH(verify_checkpoint(scratch.path(), Scope::everything), Contains(each.second));
  }
  // A file that is read but not covered.
  spill(scratch / "state.json", "1");
  const std::string none = R"({"files": {},)";
  spill(scratch / "manifest.json", none + fmt::format("\"crc32c\": \"{:08x}\"}}\n", sum_of(none)));
  CHECK_THROWS_WITH(verify_checkpoint(scratch.path(), Scope::everything),
                    Contains("state.json: is not in manifest.json"));
}

TEST_CASE("no flipped bit and no cut of a checkpoint passes", "[cpu]") {
  CHECK(undetected(150) == 0);
}

TEST_CASE("no flipped bit and no cut of a checkpoint passes, of ten thousand", "[cpu][slow]") {
  CHECK(undetected(10'000) == 0);
}

TEST_CASE("in place of a damaged checkpoint the newest whole one is taken, and it is said",
          "[cpu]") {
  const Scratch scratch;
  const RunFolder run(scratch / "run");
  run.create();
  save_toy(run, 10, true, 5);
  save_toy(run, 20, true, 5);
  save_toy(run, 30, false, 5);
  const fs::path checkpoints = run.path() / "checkpoints";
  const auto found = [&](const std::string& which, Scope scope = Scope::everything) {
    return run.whole_checkpoint(which, scope);
  };
  CHECK(found("last").folder == checkpoints / "step_30");
  CHECK(found("last").note.empty());

  spill(checkpoints / "step_30/optimizer.safetensors", "x");
  CHECK(found("last").folder == checkpoints / "step_20");
  CHECK_THAT(found("last").note,
             Contains("step_30/optimizer.safetensors: truncated") &&
                 Contains("taking step 20, the newest that is whole, for \"last\""));
  CHECK(found("last", Scope::weights).folder == checkpoints / "step_30");
  CHECK_THROWS_WITH(found("30"), Contains("optimizer.safetensors: truncated") &&
                                     Contains("use another checkpoint"));

  fs::remove_all(checkpoints / "step_20");  // best
  CHECK(found("best").folder == checkpoints / "step_10");
  CHECK_THAT(found("best").note, Contains("has no checkpoint \"best\""));
  fs::remove(checkpoints / "best");
  CHECK_THROWS_WITH(found("best"), Contains("it has last, 10, 30"));
  fs::remove(checkpoints / "last");
  CHECK(found("last").folder == checkpoints / "step_10");

  spill(checkpoints / "step_10/state.json", "x0");
  CHECK_THROWS_WITH(found("last"), Contains("no other checkpoint is whole"));
  save_toy(run, 30, false, 5);  // replaced where it stands
  CHECK(found("last").folder == checkpoints / "step_30");
  fs::remove(checkpoints / "step_30/manifest.json");
  CHECK(found("last").folder == checkpoints / "step_30");
  CHECK_THAT(found("last").note, Contains("no manifest.json, so it could not be verified"));
}
