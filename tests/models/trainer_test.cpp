#include "models/trainer.h"

#include <omp.h>

#include <cmath>
#include <filesystem>
#include <vector>

#include "core/profile.h"
#include "models/checkpoint_writer.h"
#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/cpu_levels.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

namespace fs = std::filesystem;

// A small model with everything on: dropout, accumulation, an epoch that ends mid-run.
RunConfig small_config(ObjectiveKind objective) {
  RunConfig config;
  config.model.objective = objective;
  config.model.context = 16;
  config.model.layers = 2;
  config.model.heads = 2;
  config.model.width = 16;
  config.model.dropout = 0.1;
  config.training.steps = 12;
  config.training.batch = 4;
  config.training.accumulation = 2;
  config.training.warmup = 3;
  config.training.lr = 1e-2;
  config.training.min_lr = 1e-3;
  config.training.stride = 16;
  config.training.eval_windows = 6;
  config.training.eval_draws = 4;
  config.training.seed = 7;
  return config;
}

Trainer make_trainer(RunConfig config, const Device& device = On<Cpu, float>{}) {
  const Source source;
  const std::string text = source.generate(1000, 3);  // 50 sequences and a short one: 6.4 steps
  const Tokenizer tokenizer = source.tokenizer();
  config.model.vocab_size = tokenizer.vocab_size();
  return Trainer(resolve(config), tokenizer, split_tokens(tokenizer.encode(text), 0.8, 0.1),
                 device);
}

std::vector<double> weights(Trainer& trainer) {
  std::vector<double> all;
  for (const Parameter& parameter : trainer.transformer().parameters().parameters()) {
    const std::vector<double> values = trainer.transformer().parameters().read(parameter);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

TEST_CASE("going back takes a checkpoint's state, and data that come after all that were read",
          "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const Scratch folder;
  Trainer trainer = make_trainer(small_config(objective));
  for (int step = 0; step < 3; ++step) trainer.step();
  fs::create_directories(folder / "three");
  trainer.save(folder / "three");
  const std::vector<double> good = weights(trainer);
  for (int step = 0; step < 2; ++step) trainer.step();
  ParameterStore& store = trainer.transformer().parameters();
  const Parameter& first = store.parameters().front();
  store.write(first, std::vector<double>(static_cast<std::size_t>(first.shape.count()), NAN));
  trainer.go_back(folder / "three");
  CHECK(trainer.steps_done() == 3);
  CHECK(weights(trainer) == good);
  fs::create_directories(folder / "back");
  trainer.save(folder / "back");
  CHECK(read_training_state(folder / "back" / "state.json").skipped_batches == 2);
  trainer.step();

  // A plain resume reads the batch of step 3 again; one from "back" that of step 5, as above.
  Trainer resumed = make_trainer(small_config(objective));
  resumed.load(folder / "back");
  resumed.step();
  CHECK(weights(resumed) == weights(trainer));
  Trainer same_data = make_trainer(small_config(objective));
  same_data.load(folder / "three");
  same_data.step();
  CHECK(weights(same_data) != weights(trainer));
  trainer.go_back(folder / "back");
  trainer.step();
  trainer.go_back(folder / "three");  // 3 steps and 4 batches read since, in all
  fs::create_directories(folder / "twice");
  trainer.save(folder / "twice");
  CHECK(read_training_state(folder / "twice" / "state.json").skipped_batches == 4);
}

TEST_CASE("a trainer learns, with either objective", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  RunConfig config = small_config(objective);
  config.model.dropout = 0;
  config.training.steps = 150;
  Trainer trainer = make_trainer(config);
  const double before = trainer.evaluate("val").loss;
  while (trainer.steps_done() < config.training.steps) trainer.step();
  INFO("val before " << before << ", after " << trainer.evaluate("val").loss);
  // LLaDA stays near the unigram for long.
  CHECK(trainer.evaluate("val").loss < before - (objective == ObjectiveKind::ar ? 0.5 : 0.15));
}

TEST_CASE("K micro-batches take the step of one batch of K·B", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  RunConfig split = small_config(objective), whole = split;
  whole.training.batch = 8;
  whole.training.accumulation = 1;
  // f64: only the order of the sums differs.
  Trainer a = make_trainer(split, On<Cpu, double>{}), b = make_trainer(whole, On<Cpu, double>{});
  for (int step = 0; step < 8; ++step) {
    a.step();
    b.step();
    const StepMetrics split_metrics = a.metrics(), whole_metrics = b.metrics();
    CHECK(split_metrics.loss == Approx(whole_metrics.loss).epsilon(1e-10));
    CHECK(split_metrics.grad_norm == Approx(whole_metrics.grad_norm).epsilon(1e-8));
    CHECK(split_metrics.accuracy == whole_metrics.accuracy);  // the same masks
  }
  CHECK(a.tokens_seen() == b.tokens_seen());
}

TEST_CASE("f32 training does not depend on the number of threads", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const int threads_before = omp_get_max_threads();
  std::vector<std::vector<double>> results;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    Trainer trainer = make_trainer(small_config(objective));
    for (int step = 0; step < 5; ++step) trainer.step();
    results.push_back(weights(trainer));
  }
  omp_set_num_threads(threads_before);
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("bf16 training follows f32, at every level, whatever the number of threads", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  at_every_cpu_level([&] {
    Trainer single = make_trainer(small_config(objective));
    Trainer half = make_trainer(small_config(objective), On<Cpu, bf16>{});
    const int threads_before = omp_get_max_threads();
    omp_set_num_threads(3);
    Trainer threaded = make_trainer(small_config(objective), On<Cpu, bf16>{});
    for (int step = 0; step < 8; ++step) threaded.step();
    omp_set_num_threads(threads_before);
    for (int step = 0; step < 8; ++step) {
      single.step();
      half.step();
      CHECK(half.metrics().loss == Approx(single.metrics().loss).epsilon(0.01));
      CHECK(half.metrics().grad_norm == Approx(single.metrics().grad_norm).epsilon(0.05));
    }
    CHECK(weights(half) == weights(threaded));
  });
}

TEST_CASE("a profile counts the ops of a step", "[cpu]") {
  RunConfig config = small_config(ObjectiveKind::llada);
  config.training.accumulation = 1;
  Trainer trainer = make_trainer(config);
  std::vector<OpTime> times;
  profile_into(&times);
  trainer.step();
  profile_into(nullptr);
  trainer.step();
  const auto calls = [&](const std::string& op, Pass pass) {
    std::int64_t count = 0;
    for (const OpTime& time : times) {
      CHECK(time.seconds > 0);
      if (time.op == op && time.pass == pass) count += time.calls;
    }
    return count;
  };
  for (const Pass pass : {Pass::forward, Pass::backward}) {
    CHECK(calls("linear", pass) == 4 * config.model.layers);
    CHECK(calls("attention", pass) == config.model.layers);
    CHECK(calls("residual_norm", pass) == 2 * config.model.layers + 1);
    CHECK(calls("classifier_loss", pass) == 1);
  }
  CHECK(calls("update", Pass::backward) == 1);
}

TEST_CASE("a loaded trainer repeats an uninterrupted one in every saved byte", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  RunConfig config = small_config(objective);
  config.training.ema = 0.9;
  const Scratch scratch;
  for (const char* folder : {"middle", "straight", "resumed"}) {
    std::filesystem::create_directory(scratch / folder);
  }
  Trainer straight = make_trainer(config);
  for (int step = 0; step < 5; ++step) straight.step();
  straight.note_val(straight.evaluate("val").loss);
  straight.save(scratch / "middle");
  while (straight.steps_done() < config.training.steps) straight.step();
  straight.save(scratch / "straight");

  Trainer resumed = make_trainer(config);
  resumed.step();  // whatever it did before is gone
  resumed.load(scratch / "middle");
  CHECK(resumed.best_loss() == straight.best_loss());
  while (resumed.steps_done() < config.training.steps) resumed.step();
  resumed.save(scratch / "resumed");

  for (const char* file : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
    INFO(file);
    CHECK(slurp(scratch / "straight" / file) == slurp(scratch / "resumed" / file));
  }
}

TEST_CASE("a checkpoint written while training goes on has the bytes of one that it waited for",
          "[cpu]") {
  const Scratch scratch;
  const RunFolder run(scratch / "run");
  const RunLock lock = run.create();
  RunConfig config = small_config(ObjectiveKind::llada);
  config.training.ema = 0.9;
  Trainer trainer = make_trainer(config);
  CheckpointWriter writer(run, config.training.steps, [](const std::string&) {});
  for (std::int64_t step = 1; step <= config.training.steps; ++step) {
    trainer.step();
    const std::filesystem::path waited = scratch / std::to_string(step);
    std::filesystem::create_directory(waited);
    trainer.save(waited);
    writer.save(trainer.snapshot(), false);
  }
  writer.finish();
  for (std::int64_t step = 1; step <= config.training.steps; ++step) {
    for (const char* file :
         {"model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"}) {
      INFO("step " << step << ": " << file);
      CHECK(slurp(scratch / std::to_string(step) / file) ==
            slurp(run.checkpoint(std::to_string(step)) / file));
    }
  }
}

TEST_CASE("an evaluation repeats, and leaves training alone", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  Trainer evaluated = make_trainer(small_config(objective));
  Trainer plain = make_trainer(small_config(objective));
  for (int step = 0; step < 3; ++step) {
    plain.step();
    evaluated.step();
    const Evaluation first = evaluated.evaluate("val"), second = evaluated.evaluate("val");
    CHECK(first.loss == second.loss);
    CHECK(first.accuracy == second.accuracy);
  }
  CHECK(weights(evaluated) == weights(plain));
}

TEST_CASE("gradients that are not finite leave weights and moments alone", "[cpu]") {
  Trainer trainer = make_trainer(small_config(ObjectiveKind::ar));
  trainer.step();
  ParameterStore& store = trainer.transformer().parameters();
  const Parameter& norm = store.parameters().back();
  std::vector<double> broken = store.read(norm);
  broken[0] = std::numeric_limits<double>::quiet_NaN();
  store.write(norm, broken);
  const std::vector<double> before = weights(trainer);
  trainer.step();
  CHECK_FALSE(trainer.metrics().finite);
  CHECK(trainer.metrics().skipped == 1);
  const std::vector<double> after = weights(trainer);
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] == before[i]) REQUIRE(before[i] == after[i]);  // all but the NaN itself
  }
}

TEST_CASE("an evaluation of diverged weights is not a number, and no error", "[cpu]") {
  Trainer trainer = make_trainer(small_config(ObjectiveKind::llada));
  ParameterStore& store = trainer.transformer().parameters();
  const Parameter& embedding = store.parameters().front();
  store.write(embedding, std::vector<double>(static_cast<std::size_t>(embedding.shape.count()),
                                             std::numeric_limits<double>::quiet_NaN()));
  const Evaluation evaluation = trainer.evaluate("val");
  CHECK(std::isnan(evaluation.loss));
  CHECK(std::isnan(evaluation.accuracy));
}

TEST_CASE("the EMA starts from the weights and follows them", "[cpu]") {
  RunConfig config = small_config(ObjectiveKind::ar);
  config.training.ema = 0.9;
  Trainer trainer = make_trainer(config, On<Cpu, double>{});
  const ParameterStore& store = trainer.transformer().parameters();
  const auto values = [&](const void* arena) {
    const auto* first = static_cast<const double*>(arena);
    return std::vector<double>(first, first + store.arena_count());
  };
  const std::vector<double> before = values(store.masters());
  trainer.step();
  const std::vector<double> after = values(store.masters());
  const std::vector<double> ema = values(trainer.optimizer().arenas().at("ema"));
  CHECK(before != after);
  for (std::size_t i = 0; i < ema.size(); ++i) {
    REQUIRE(ema[i] == Approx(0.9 * before[i] + 0.1 * after[i]).epsilon(1e-12));
  }
}

TEST_CASE("the averaged weights are evaluated as a model that has them is, and training goes on",
          "[cpu]") {
  const Device device =
      GENERATE(Device(On<Cpu, float>{}), Device(On<Cpu, bf16>{}), Device(On<Cpu, double>{}));
  RunConfig config = small_config(ObjectiveKind::llada);
  config.training.ema = 0.7;
  Trainer trainer = make_trainer(config, device), other = make_trainer(config, device);
  const auto plain = [](Trainer& each) { return each.evaluate("val").loss; };
  for (int step = 0; step < 3; ++step) {
    trainer.step();
    other.step();
  }
  const double trained = plain(trainer);
  const double averaged = trainer.evaluate("val", Trainer::Weights::averaged).loss;
  CHECK(averaged != trained);
  CHECK(plain(trainer) == trained);
  trainer.step();  // from the bits that it had
  Trainer undisturbed = make_trainer(config, device);
  for (int step = 0; step < 4; ++step) undisturbed.step();
  CHECK(weights(trainer) == weights(undisturbed));

  ParameterStore& store = other.transformer().parameters();
  const void* const ema = other.optimizer().arenas().at("ema");
  for (const Parameter& parameter : store.parameters()) {
    store.write(parameter, store.read(parameter, ema));
  }
  CHECK(plain(other) == averaged);
}

TEST_CASE("an evaluation of averaged weights that fails puts the weights back", "[cpu]") {
  RunConfig config = small_config(ObjectiveKind::ar);
  config.training.ema = 0.7;
  config.training.val_fraction = 0;
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  config.model.vocab_size = tokenizer.vocab_size();
  Trainer trainer(resolve(config), tokenizer,
                  split_tokens(tokenizer.encode(source.generate(1000, 3)), 0.8, 0),
                  On<Cpu, float>{});
  for (int step = 0; step < 2; ++step) trainer.step();
  const std::vector<double> before = weights(trainer);
  CHECK_THROWS_AS(trainer.evaluate("val", Trainer::Weights::averaged), Error);
  CHECK(weights(trainer) == before);
}

TEST_CASE("averaged weights are refused where there are none", "[cpu]") {
  Trainer trainer = make_trainer(small_config(ObjectiveKind::ar));
  CHECK_THROWS_WITH(trainer.evaluate("val", Trainer::Weights::averaged),
                    Catch::Contains("no averaged weights where ema is 0"));
}

TEST_CASE("a split shorter than a window is refused with the mend", "[cpu]") {
  RunConfig config = small_config(ObjectiveKind::llada);
  config.model.context = 128;  // the val split has 100
  CHECK_THROWS_WITH(make_trainer(config),
                    Catch::Contains("val split has 100 tokens, fewer than one sequence of 128"));
}

}  // namespace
}  // namespace masque::test
