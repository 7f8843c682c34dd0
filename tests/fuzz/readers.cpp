// Any bytes may be in a file of a stranger: every reader either reads them or throws InputError,
// and takes no memory that the file's size does not justify. One program (libFuzzer), which
// MASQUE_READER=NAME tells which reader to try, or `list` to print their names; with
// MASQUE_FUZZ_SEEDS=FOLDER it writes what our own writers write there, to begin from.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "apps/report/render.h"
#include "apps/report/report.h"
#include "apps/report/sections.h"
#include "core/check.h"
#include "models/config.h"
#include "models/corpus.h"
#include "models/dataset.h"
#include "models/files.h"
#include "models/manifest.h"
#include "models/safetensors.h"
#include "models/strict_json.h"
#include "models/tokenizer.h"
#include "models/trainer.h"
#include "models/utf8.h"
#include "tests/support/compare_results.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

constexpr const char* kText = "A line of text: ∅ é 😀.\nAnd another, 12 34.\n";

// A file in memory.
class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* bytes, std::size_t size) : handle_(memfd_create("fuzz", 0)) {
    if (handle_ < 0 || ::write(handle_, bytes, size) != static_cast<ssize_t>(size)) std::abort();
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(handle_); }
  fs::path path() const { return "/proc/self/fd/" + std::to_string(handle_); }

 private:
  int handle_;
};

void require(bool holds) {
  if (!holds) std::abort();
}

void read_safetensors(const fs::path& file) {
  const Safetensors tensors(file);
  std::size_t bytes = 0;
  for (const auto& entry : tensors.entries()) {
    const Shape& shape = entry.second.shape;
    bytes += static_cast<std::size_t>(shape.count()) * size_of(entry.second.dtype);
    for (const DType dtype : {DType::f32, DType::f64}) {
      std::vector<std::byte> values(static_cast<std::size_t>(shape.count()) * size_of(dtype));
      tensors.read(entry.first, shape, dtype, values.data());
    }
  }
  require(bytes <= fs::file_size(file));
}

void read_tokenizer(const fs::path& file) {
  const Tokenizer tokenizer = Tokenizer::load(file);
  std::vector<std::int32_t> all;
  for (std::int32_t id = Tokenizer::kSpecials; id < tokenizer.vocab_size(); ++id) all.push_back(id);
  if (!tokenizer.bytes()) require(tokenizer.encode(tokenizer.decode(all)) == all);
}

void read_config(const fs::path& file) {
  const RunConfig config = config_from_json(read_strict_json(file, {"config.json", "mend it"}));
  require(to_json(config_from_json(to_json(config))) == to_json(config));
}

void read_state(const fs::path& file) {
  const TrainingState state = read_training_state(file);
  require(state.steps >= 0 && state.tokens >= 0 && state.skipped_batches >= 0);
}

void read_corpus(const fs::path& file) {
  const Tokenizer bytes = Tokenizer::of_bytes();
  const std::string any = masque::read_corpus(file, "byte").text;
  require(bytes.encode(any).size() == any.size());
  require(!find_fault(bytes.decode(bytes.encode(any))));
  const std::string text = masque::read_corpus(file, "char").text;
  require(text == any);
  const Tokenizer tokenizer = Tokenizer::from_text(text);
  const std::vector<std::int32_t> tokens = tokenizer.encode(text);
  require(tokenizer.decode(tokens) == text && bytes.decode(bytes.encode(text)) == text);
  std::int64_t scored = 0;
  for (const Window& window : cover(static_cast<std::int64_t>(tokens.size()), 4)) {
    scored += window.length - window.scored_from;
  }
  require(scored == static_cast<std::int64_t>(tokens.size()));
}

// The checksum at its end is made right, or nothing behind it would be read.
void read_sealed_manifest(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string above{std::istreambuf_iterator<char>(stream), {}};
  const std::string sealed = with_checksum(above);
  const MemoryFile whole(reinterpret_cast<const std::uint8_t*>(sealed.data()), sealed.size());
  for (const auto& entry : read_manifest(whole.path())) {
    require(fs::path(entry.first).filename() == entry.first);
  }
}

void read_report(const fs::path& file) {
  const report::Document document = report::make_document(report::Results(read_results(file)));
  require(!to_html(document).empty() && !to_markdown(document).empty());
}

void seed_safetensors(const fs::path& file) {
  const std::vector<float> floats(6, 0.5F);
  const std::vector<double> doubles(2, 0.25);
  const HostArray arrays[] = {{"wte.weight", {2, 3}, DType::f32, floats.data()},
                              {"norm.weight", {2}, DType::f64, doubles.data()}};
  write_safetensors(file, arrays, {{"format", "masque"}});
}

void seed_tokenizer(const fs::path& file) {
  Tokenizer::from_text(kText).save(file);
}

void seed_config(const fs::path& file) {
  RunConfig config;
  config.model.vocab_size = 69;
  write_file(file, to_json(resolve(config)).dump(2));
}

void seed_state(const fs::path& file) {
  write_file(file,
             std::string(R"({"step": 3, "tokens": 96, "skipped_batches": 0, "best_loss": 2.5})"));
}

void seed_corpus(const fs::path& file) {
  write_file(file, std::string(kText));
}

void seed_manifest(const fs::path& file) {
  write_file(file, std::string(R"({"files": {
 "model.safetensors": [
  {"part": "header", "bytes": 1208, "crc32c": "2b0c8d5e"},
  {"part": "wte.weight", "bytes": 35328, "crc32c": "9d11f0a3"}],
 "state.json": [
  {"part": "text", "bytes": 62, "crc32c": "417a0c55"}]},
)"));
}

void seed_results(const fs::path& file) {
  write_file(file, test::compare_results().dump());
}

struct Reader {
  const char* name;
  void (*read)(const fs::path& file);
  void (*seed)(const fs::path& file);
};

constexpr Reader kReaders[] = {{"safetensors", read_safetensors, seed_safetensors},
                               {"tokenizer", read_tokenizer, seed_tokenizer},
                               {"config", read_config, seed_config},
                               {"state", read_state, seed_state},
                               {"corpus", read_corpus, seed_corpus},
                               {"manifest", read_sealed_manifest, seed_manifest},
                               {"results", read_report, seed_results}};

const Reader& chosen_reader() {
  const char* const name = std::getenv("MASQUE_READER");
  for (const Reader& reader : kReaders) {
    if (name != nullptr && std::string(reader.name) == name) return reader;
  }
  for (const Reader& reader : kReaders) std::puts(reader.name);
  std::exit(name != nullptr && std::string(name) == "list" ? 0 : 2);
}

}  // namespace
}  // namespace masque

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const masque::Reader& reader = masque::chosen_reader();
  if (const char* folder = std::getenv("MASQUE_FUZZ_SEEDS")) {
    reader.seed(masque::fs::path(folder) / "written");
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const masque::Reader& reader = masque::chosen_reader();
  const masque::MemoryFile file(bytes, size);
  try {
    reader.read(file.path());
  } catch (const masque::InputError&) {
  }
  return 0;
}
