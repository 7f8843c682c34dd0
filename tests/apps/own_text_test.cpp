// Any text trains: a folder of files, files that are no UTF-8, and what is too small says so.
#include <cmath>
#include <nlohmann/json.hpp>

#include "models/source.h"
#include "models/utf8.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

using Catch::Matchers::Contains;

namespace masque::test {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
namespace fs = std::filesystem;

// A folder of own files, and runs of a very small model on them.
class OwnText {
 public:
  OwnText() {
    const std::string text = Source().generate(4000, 1);
    fs::create_directories(folder_ / "notes/old");
    spill(folder_ / "notes/one.txt", text.substr(0, 1000));
    spill(folder_ / "notes/old/two.md", text.substr(1000, 2000) + "née à l'été 中文\n");
    spill(folder_ / "notes/logo.png", picture());
    spill(folder_ / "notes/.secret", "no");
  }

  // Every byte, some often.
  static std::string picture() {
    std::string bytes;
    for (int i = 0; i < 1500; ++i) bytes.push_back(static_cast<char>(i * i % 256));
    return bytes;
  }
  fs::path path(const std::string& name) const { return folder_ / name; }
  ProcessResult masque(const Words& arguments) const {
    return run_program(MASQUE_BINARY, arguments, folder_.path(), "OMP_NUM_THREADS=1");
  }
  ProcessResult succeeds(const Words& arguments) const {
    ProcessResult result = masque(arguments);
    INFO(result.err);
    REQUIRE(result.code == 0);
    return result;
  }
  ProcessResult train(const std::string& run, Words options) const {
    options.insert(options.begin(), {"train", run, "--preset", "tiny"});
    for (const char* word :
         {"--set", "layers=1", "heads=2", "width=16", "mlp_width=32", "context=16", "batch=4",
          "steps=2", "eval_windows=4", "eval_draws=2"}) {
      options.emplace_back(word);
    }
    return succeeds(options);
  }
  Json json(Words arguments) const {
    arguments.emplace_back("--json");
    return Json::parse(succeeds(arguments).out);  // throws where it is no UTF-8
  }
  Json file(const std::string& name) const { return Json::parse(slurp(folder_ / name)); }

 private:
  Scratch folder_;
};

TEST_CASE("a folder of files trains, and says what it read and left out", "[cpu]") {
  const OwnText own;
  const ProcessResult trained = own.train("run", {"--objective", "ar", "--data", "notes"});
  CHECK_THAT(trained.err, Contains("notes: 2 files, 3,025 bytes\n") &&
                              Contains("note: left out: logo.png is not UTF-8: byte 12 (0x90)"));
  const Json info = own.json({"data", "info", "notes"});
  CHECK(info["files"] == Json::parse(R"([{"name": "old/two.md", "bytes": 2023},
                                         {"name": "one.txt", "bytes": 1000}])"));
  CHECK(info["left_out"].size() == 1);
  CHECK(info["bytes"] == 2023 + 2 + 1000);
  CHECK_THAT(own.succeeds({"data", "info", "notes"}).out,
             Contains("        2,023  old/two.md\n") && Contains("Left out\n  logo.png is not"));

  const std::string joined =
      slurp(own.path("notes/old/two.md")) + "\n\n" + slurp(own.path("notes/one.txt"));
  spill(own.path("joined.txt"), joined);
  const Json config = own.file("run/config.json"), data = own.file("run/environment.json")["data"];
  CHECK(config["data"]["file"] == fs::absolute(own.path("notes")).string());
  CHECK(config["data"]["tokens"] == info["tokens"]);
  CHECK(config["training"]["tokenizer"] == "char");
  CHECK(data["files"] == 2);
  CHECK(data["bytes"] == joined.size());
  CHECK(data["sha256"] ==
        run_program("sha256sum", {own.path("joined.txt").string()}).out.substr(0, 64));

  // The same text in one file is the same text, also to a run of the folder.
  const Json of_folder = own.json({"eval", "run"});
  const Json of_file = own.json({"eval", "run", "--data", "joined.txt"});
  CHECK(of_folder["nats_per_token"] == of_file["nats_per_token"]);
  CHECK(own.masque({"train", "run", "--resume", "--steps", "3"}).code == 0);
  spill(own.path("notes/three.txt"), "more");
  CHECK_THAT(own.masque({"train", "run", "--resume", "--steps", "4"}).err,
             Contains("characters, but the run was trained on"));
}

TEST_CASE("bits a byte compare between tokenizers", "[cpu]") {
  const OwnText own;
  own.train("char", {"--objective", "ar", "--data", "notes/old/two.md"});
  const Json by_char = own.json({"eval", "char", "--split", "all"});
  const double bits = by_char["bits_per_char"];
  CHECK(bits == Approx(by_char["nats_per_token"].get<double>() / std::log(2)));
  // 2015 characters in 2023 bytes.
  CHECK(by_char["tokens"] == 2015);
  CHECK(by_char["bits_per_byte"].get<double>() == Approx(bits * 2015 / 2023));
  const std::string text = own.succeeds({"eval", "char", "--split", "all"}).out;
  CHECK_THAT(text, Contains("bits per char") && Contains("bits per byte"));

  own.train("byte", {"--objective", "ar", "--data", "notes/old/two.md", "--tokenizer", "byte"});
  const Json by_byte = own.json({"eval", "byte", "--split", "all"});
  CHECK(by_byte["tokens"] == 2023);
  CHECK(by_byte["bits_per_char"].is_null());
  CHECK(by_byte["bits_per_byte"].get<double>() ==
        Approx(by_byte["nats_per_token"].get<double>() / std::log(2)));
  const std::string bytes = own.succeeds({"eval", "byte", "--split", "all"}).out;
  CHECK_THAT(bytes, Contains("bits per byte") && !Contains("bits per char"));
}

TEST_CASE("a byte tokenizer serves any file, from training to samples", "[cpu]") {
  const OwnText own;
  for (const std::string objective : {"llada", "ar"}) {
    INFO(objective);
    own.train(objective, {"--objective", objective, "--data", "notes", "--tokenizer", "byte"});
    const Json config = own.file(objective + "/config.json");
    CHECK(config["training"]["tokenizer"] == "byte");
    CHECK(config["model"]["vocab_size"] == 260);
    CHECK(config["data"]["tokens"] == 2023 + 2 + 1500 + 2 + 1000);
    CHECK(own.file(objective + "/tokenizer.json")["type"] == "byte");

    CHECK(own.json({"eval", objective})["bits_per_byte"] > 0);
    CHECK(own.json({"eval", objective, "--data", "notes/logo.png", "--split", "all"})["tokens"] ==
          1500);
    // Two steps of training write noise: bytes that make no characters.
    const Json samples = own.json({"sample", objective, "--n", "4", "--prompt", "né"});
    REQUIRE(samples["samples"].size() == 4);
    for (const Json& sample : samples["samples"]) {
      CHECK(sample["ids"].size() == 16);
      CHECK_THAT(sample["text"].get<std::string>(), Catch::StartsWith("né"));
    }
    const ProcessResult written = own.succeeds({"sample", objective, "--n", "4", "--watch"});
    CHECK_FALSE(find_fault(written.out));
    CHECK_FALSE(find_fault(written.err));
    CHECK_THAT(written.out, Contains("\uFFFD"));
    CHECK_FALSE(find_fault(slurp(own.path(objective + "/samples/step_2.txt"))));
    CHECK_THAT(own.masque({"sample", objective, "--prompt", "中文中文中文"}).err,
               Contains("the prompt has 18 bytes and the model's context is 16: shorten it by 2"));
  }
  const Json filled = own.json({"sample", "llada", "--template", "a中_b"});
  CHECK_THAT(filled["samples"][0]["text"].get<std::string>(), Catch::StartsWith("a中"));
  CHECK(filled["samples"][0]["ids"].size() == 6);
  CHECK(own.json({"quality", "llada", "ar", "--n", "2", "--steps", "4"})["rows"].size() >= 4);

  const Json info = own.json({"data", "info", "notes", "--tokenizer", "byte"});
  CHECK(info["vocab_size"] == 260);
  CHECK(info["files"].size() == 3);
  CHECK_THAT(own.succeeds({"data", "info", "notes/logo.png", "--tokenizer", "byte"}).out,
             Contains("bytes            1,500 in") && Contains("260: 256 bytes, of which") &&
                 Contains("\\xe4"));
}

TEST_CASE("a comparison of bytes counts bytes", "[compare][cpu]") {
  const OwnText own;
  Words arguments = {
      "compare", "out",         "--data", "notes/logo.png", "--preset",         "tiny", "--seeds",
      "1",       "--tokenizer", "byte",   "--without",      "ablations,chains", "--set"};
  for (const char* key : {"layers=1", "heads=2", "width=16", "mlp_width=32", "context=16",
                          "batch=4", "steps=4", "eval_windows=4", "eval_draws=2"}) {
    arguments.emplace_back(key);
  }
  own.succeeds(arguments);
  const Json results = own.file("out/results.json");
  CHECK(results["data"]["bytes"] == 1500);
  CHECK(results["data"]["tokenizer"] == "byte");
  CHECK(results["data"]["vocab_size"] == 260);
  const std::string report = slurp(own.path("out/report.md"));
  CHECK_THAT(report, Contains("The text: 1,500 bytes") && Contains("bits/byte"));
  // The viewer finds what is new by its characters' places in the text.
  REQUIRE_FALSE(results["viewer"].empty());
  for (const Json& generation : results["viewer"]) {
    for (const Json& frame : generation["frames"]) {
      const std::size_t characters = decode_utf8(frame["text"].get<std::string>()).size();
      CHECK(characters <= generation["length"].get<std::size_t>());
      for (const Json& place : frame["fresh"]) CHECK(place.get<std::size_t>() < characters);
      CHECK(frame["fresh"].size() == frame["confidence"].size());
    }
  }
  CHECK(own.masque({"compare", "out"}).code == 0);
}

TEST_CASE("text that is small or of many characters is told so", "[cpu]") {
  const OwnText own;
  spill(own.path("small.txt"), Source().generate(800, 1));
  CHECK_THAT(
      own.masque({"train", "run", "--objective", "ar", "--data", "small.txt"}).err,
      Contains("the val split has 80 tokens, fewer than one sequence of 128: give a text of "
               "at least 1280 tokens, or shorter sequences by --preset or --set context=64"));
  std::u32string many;
  for (char32_t character = 0x4E00; character < 0x4E00 + 6000; ++character) {
    many.push_back(character);
  }
  spill(own.path("many.txt"), encode_utf8(many));
  const ProcessResult trained = own.train("many", {"--objective", "ar", "--data", "many.txt"});
  CHECK_THAT(trained.err, Contains("note: 6,000 different characters, most of them rare; "
                                   "--tokenizer byte has 256"));
  const ProcessResult little =
      own.train("little", {"--objective", "ar", "--data", "small.txt", "--set", "accumulation=16"});
  CHECK_THAT(
      little.err,
      Contains("hint: a step reads 64 sequences, and the train split is 40 of 16: give more"));
}

}  // namespace
}  // namespace masque::test
