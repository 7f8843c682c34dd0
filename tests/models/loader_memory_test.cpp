// What readers of files take beyond the file's own size: at most 16 MiB, whatever it holds.
#include <string>
#include <vector>

#include "models/config.h"
#include "models/corpus.h"
#include "models/dataset.h"
#include "models/manifest.h"
#include "models/run.h"
#include "models/strict_json.h"
#include "models/tokenizer.h"
#include "models/trainer.h"
#include "tests/support/memory.h"
#include "tests/support/scratch.h"
#include "tests/support/smallest_config.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMost = std::size_t{16} << 20;

// A transformer of 64 MiB of weights, most of them in one array.
ModelConfig large_model() {
  ModelConfig model = smallest_config(ObjectiveKind::ar).model;
  model.width = 512;
  model.vocab_size = 30'000;
  model.mlp_width = 512;
  model.tied = true;
  return model;
}

template <class Read>
void check_refused(const fs::path& file, Read read) {
  const std::size_t grown = peak_growth([&] { CHECK_THROWS_AS(read(file), InputError); });
  INFO(file << " of " << fs::file_size(file) << " bytes");
  CHECK(grown <= fs::file_size(file) + kMost);
}

std::string repeated(const std::string& piece, std::size_t bytes) {
  std::string text;
  while (text.size() + piece.size() <= bytes) text += piece;
  return text;
}

// A safetensors file of this header and no data.
std::string with_length(const std::string& header, std::uint64_t length) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i));
  return bytes + header;
}

}  // namespace

TEST_CASE("loading 64 MiB of weights takes 16 MiB beside them at most", "[cpu]") {
  if (!kCountsMemory) return;
  const Scratch folder;
  const fs::path file = folder / "model.safetensors";
  Transformer transformer(large_model(), On<Cpu, bf16>{});
  transformer.initialise(1);
  save_model(file, transformer);
  REQUIRE(fs::file_size(file) > std::size_t{60} << 20);
  CHECK(peak_growth([&] { load_model(file, transformer); }) <= kMost);
  CHECK(peak_growth([&] { Safetensors tensors(file); }) <= kMost);
}

TEST_CASE("verifying a checkpoint takes a block of it at a time", "[cpu]") {
  if (!kCountsMemory) return;
  const Scratch folder;
  const std::vector<float> values(std::size_t{16} << 20, 0.5F);  // 64 MiB
  {
    CheckpointFiles files(folder.path());
    const HostArray array{"x", {std::int64_t{16} << 20}, DType::f32, values.data()};
    files.write("model.safetensors", std::span(&array, 1));
    files.finish();
  }
  CHECK(peak_growth([&] { verify_checkpoint(folder.path(), Scope::everything); }) <= kMost);
}

TEST_CASE("a text is read in its own size", "[cpu]") {
  if (!kCountsMemory) return;
  const Scratch folder;
  spill(folder / "text.txt", repeated("A line of text: é, 😀.\n", std::size_t{48} << 20));
  const std::size_t size = fs::file_size(folder / "text.txt");
  std::string text;
  CHECK(peak_growth([&] { text = read_text(folder / "text.txt"); }) <= size + kMost);
  CHECK(peak_growth([&] { Tokenizer::from_text(text); }) <= kMost);
}

TEST_CASE("files that promise more than they hold take no memory for it", "[cpu]") {
  if (!kCountsMemory) return;
  const Scratch folder;
  const auto safetensors = [](const fs::path& file) { Safetensors tensors(file); };
  const auto made = [&](const std::string& bytes) {
    spill(folder / "file", bytes);
    return folder / "file";
  };
  check_refused(made(with_length("{}", std::uint64_t{1} << 62)), safetensors);
  check_refused(made(with_length("{}", 1 << 20)), safetensors);
  const std::string huge =
      R"({"x": {"dtype": "F32", "shape": [1000000000, 1000], "data_offsets": [0, 4000000000000]}})";
  check_refused(made(with_length(huge, huge.size())), safetensors);
  // As much structure as a header may hold.
  const std::string nested = fmt::format(R"({{"x": [{}[]]}})", repeated("[],", (1 << 20) - 20));
  check_refused(made(with_length(nested, nested.size())), safetensors);
  const std::string keys = [] {
    std::string text = "{";
    for (int i = 0; text.size() < (1 << 20) - 64; ++i) {
      text += fmt::format("\"{}\": {{\"dtype\": 0}},", i);
    }
    text += "\"last\": 0}";
    return text;
  }();
  check_refused(made(with_length(keys, keys.size())), safetensors);

  const std::string lists = fmt::format("[{}[]]", repeated("[],", kMostJsonBytes - 8));
  check_refused(made(lists), read_training_state);
  check_refused(made(lists), Tokenizer::load);
  check_refused(made(fmt::format(R"({{"type": "character", "characters": [{}"a"]}})",
                                 repeated("\"a\",", kMostJsonBytes - 80))),
                Tokenizer::load);
  const auto manifest = [](const fs::path& file) { read_manifest(file); };
  const std::string parts =
      fmt::format("{{\"files\": {{\"x\": [{}{{}}]}},\n", repeated("{},", (2 << 20) - 80));
  check_refused(made(parts), manifest);
  check_refused(made(with_checksum(parts)), manifest);
}

}  // namespace masque::test
