// A training whose numbers go wrong.
#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "apps/training_run.h"
#include "models/files.h"
#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"
#include "tests/support/smallest_config.h"

namespace masque::test {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using Json = nlohmann::json;

// Calls `then` once, by the training's own thread, when a line of the log holds `part`.
class AtLogLine : public FileSystem {
 public:
  AtLogLine(std::string part, std::function<void()> then)
      : part_(std::move(part)), then_(std::move(then)) {}
  ssize_t write(int fd, std::span<const std::byte> bytes) override {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (then_ && text.find(part_) != std::string_view::npos) std::exchange(then_, nullptr)();
    return FileSystem::write(fd, bytes);
  }

 private:
  std::string part_;
  std::function<void()> then_;
};

RunConfig small_config(const Tokenizer& tokenizer) {
  RunConfig config = smallest_config(ObjectiveKind::ar);
  config.model.vocab_size = tokenizer.vocab_size();
  config.training.steps = 60;
  config.training.warmup = 1;
  config.training.log_every = 1;
  config.training.eval_every = 30;  // also while numbers are wrong
  config.training.save_every = 10;
  config.training.eval_windows = 2;
  return resolve(config);
}

TEST_CASE("after ten updates without a finite gradient a run goes back, and on with other data",
          "[cpu]") {
  const Scratch folder;
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  const RunConfig config = small_config(tokenizer);
  Trainer trainer(config, tokenizer,
                  split_tokens(tokenizer.encode(source.generate(2000, 1)), config.training),
                  On<Cpu, float>{});
  TrainingRun run(RunFolder(folder / "run"), config, tokenizer, trainer, On<Cpu, float>{},
                  TrainingRun::Log::brief);
  run.create();
  // At step 25 every weight of the embedding becomes NaN: updates 26 … 35 are skipped.
  AtLogLine files("\"step\":25,", [&] {
    ParameterStore& store = trainer.transformer().parameters();
    const Parameter& first = store.parameters().front();
    store.write(first, std::vector<double>(static_cast<std::size_t>(first.shape.count()), NAN));
  });
  const WithFileSystem with(files);
  CHECK(run.go() == 0);
  CHECK(trainer.steps_done() == 60);
  const fs::path last = RunFolder(folder / "run").checkpoint("last");
  const TrainingState state = read_training_state(last / "state.json");
  CHECK(state.steps == 60);
  CHECK(state.skipped_batches == 15);  // from 35 back to 20
  for (const double value : trainer.transformer().parameters().read(
           trainer.transformer().parameters().parameters().front())) {
    REQUIRE(std::isfinite(value));
  }
  // The log tells one story: each step once, in order, all finite.
  std::istringstream lines(slurp(folder / "run" / "metrics.jsonl"));
  std::int64_t expected = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line);
    if (json["split"] != "train") continue;
    CHECK(json["step"] == ++expected);
    CHECK(json["loss"].is_number());
  }
  CHECK(expected == 60);
}

TEST_CASE("a run that diverges again and again ends with a clear line and a good checkpoint",
          "[cpu]") {
  const Scratch folder;
  spill(folder / "text.txt", Source().generate(4000, 1));
  const std::string run = (folder / "run").string();
  // This decay multiplies the weights by 10¹³ each step: after the first, sums of squares overflow.
  std::vector<std::string> words = {
      "train",    run,    "--objective", "ar",
      "--preset", "tiny", "--data",      (folder / "text.txt").string(),
      "--set"};
  for (const char* key :
       {"layers=1", "heads=1", "width=8", "context=8", "batch=2", "steps=200", "warmup=0", "lr=10",
        "weight_decay=1e12", "save_every=1", "eval_every=5", "eval_windows=2", "keep=3"}) {
    words.emplace_back(key);
  }
  const ProcessResult result = run_program(MASQUE_BINARY, words, {}, "OMP_NUM_THREADS=1");
  INFO(result.err);
  CHECK(result.code == 1);
  const std::string last = fs::read_symlink(fs::path(run) / "checkpoints" / "last");
  const int good = std::stoi(last.substr(last.find('_') + 1));
  CHECK(good > 0);
  const std::string back =
      "10 updates in a row had no finite gradient: back to step " + std::to_string(good) + ",";
  std::size_t times = 0;
  for (std::size_t at = 0; (at = result.err.find(back, at)) != std::string::npos; ++at) ++times;
  CHECK(times == 3);
  // Evaluations and samples of such weights end nothing.
  CHECK_THAT(result.err, Contains("exact train nan  val nan nats a token") &&
                             Contains("hold NaN or +inf, or nothing that may be drawn"));
  CHECK_THAT(result.err, Contains("diverged at step " + std::to_string(good + 10)) &&
                             Contains("4 times") && Contains("lower lr (it is 10)"));

  words[1] = (folder / "early").string();
  *std::find(words.begin(), words.end(), "save_every=1") = "save_every=1000";
  const ProcessResult early = run_program(MASQUE_BINARY, words, {}, "OMP_NUM_THREADS=1");
  INFO(early.err);
  CHECK(early.code == 1);
  CHECK_THAT(early.err, Contains("there is no checkpoint before it"));
}

}  // namespace
}  // namespace masque::test
