// A training whose folder fails.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "apps/training_run.h"
#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_files.h"
#include "tests/support/scratch.h"
#include "tests/support/smallest_config.h"

namespace masque::test {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

RunConfig small_config() {
  RunConfig config = smallest_config(ObjectiveKind::ar);
  config.training.steps = 40;
  config.training.warmup = 1;
  config.training.log_every = 1;
  config.training.eval_every = 20;
  config.training.save_every = 5;
  config.training.keep = 100;
  config.training.eval_windows = 2;
  return config;
}

// What is written on stderr while it lives.
class Stderr {
 public:
  Stderr() : saved_(dup(STDERR_FILENO)) {
    const int file = open((folder_ / "err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(file, STDERR_FILENO);
    close(file);
  }
  Stderr(const Stderr&) = delete;
  Stderr& operator=(const Stderr&) = delete;
  ~Stderr() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }
  std::string text() const { return slurp(folder_ / "err"); }

 private:
  Scratch folder_;
  int saved_;
};

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

struct Trained {
  int code = -1;
  std::string error, err;  // what was thrown; stderr
};

// Trains in `folder` with files that `break_` may break once the run is made.
template <class Break>
Trained train(const fs::path& folder, FaultyFiles& faulty, Break break_) {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  RunConfig config = small_config();
  config.model.vocab_size = tokenizer.vocab_size();
  config = resolve(config);
  Trainer trainer(config, tokenizer,
                  split_tokens(tokenizer.encode(source.generate(1000, 3)), 0.8, 0.1),
                  On<Cpu, float>{});
  const WithFileSystem replaced(faulty);
  Trained result;
  const Stderr err;
  try {
    TrainingRun run(RunFolder(folder), config, tokenizer, trainer, On<Cpu, float>{},
                    TrainingRun::Log::brief);
    run.create();
    break_();
    result.code = run.go();
  } catch (const Error& error) {
    result.error = error.what();
  }
  result.err = err.text();
  return result;
}

std::size_t lines_of(const fs::path& run) {
  return count_of(slurp(run / "metrics.jsonl"), "\n");
}

TEST_CASE("a training goes on where a save fails, and saves later", "[cpu]") {
  const Scratch scratch;
  FaultyFiles faulty;
  const Trained trained = train(scratch / "run", faulty, [&] {
    faulty.only("checkpoints");
    faulty.fail(0, ENOSPC, 4);
  });
  INFO(trained.err);
  CHECK(trained.error.empty());
  CHECK(trained.code == 0);
  CHECK(count_of(trained.err, "No space left on device; free some space there") == 1);
  CHECK(count_of(trained.err, "saved after all") == 1);
  const WholeCheckpoint last =
      RunFolder(scratch / "run").whole_checkpoint("last", Scope::everything);
  CHECK(last.folder.filename() == "step_40");
  CHECK(last.note.empty());
  CHECK(lines_of(scratch / "run") == 44);  // 40 steps, two evaluations of two splits
}

TEST_CASE("a save that still fails at the end is an error", "[cpu]") {
  const Scratch scratch;
  FaultyFiles faulty;
  const Trained trained = train(scratch / "run", faulty, [&] {
    faulty.only("checkpoints");
    faulty.fail(0, EROFS);
  });
  INFO(trained.err);
  CHECK(trained.code == -1);
  CHECK_THAT(trained.error, Contains("step 40 is not saved") && Contains("Read-only file system"));
  CHECK(lines_of(scratch / "run") == 44);
}

TEST_CASE("a log that cannot be written ends no training, and is told once", "[cpu]") {
  const Scratch scratch;
  FaultyFiles faulty;
  const bool for_good = GENERATE(true, false);
  const Trained trained = train(scratch / "run", faulty, [&] {
    faulty.only("metrics.jsonl");
    if (for_good) faulty.fail(0, EACCES);
    if (!for_good) faulty.fail(0, EACCES, 20);
  });
  INFO(trained.err);
  CHECK(trained.error.empty());
  CHECK(trained.code == 0);
  CHECK(count_of(trained.err, "metrics.jsonl: Permission denied") == 1);
  CHECK(count_of(trained.err, "could not be written and are lost") == (for_good ? 1 : 0));
  if (!for_good) CHECK(lines_of(scratch / "run") == 44);
  const RunFolder run(scratch / "run");
  CHECK(run.whole_checkpoint("last", Scope::everything).folder.filename() == "step_40");
}

}  // namespace
}  // namespace masque::test
