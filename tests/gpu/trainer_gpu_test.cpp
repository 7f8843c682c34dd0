// Whole trainings on the GPU: recorded steps against eager ones, and both against the CPU.
#include <functional>
#include <vector>

#include "models/loss_watch.h"
#include "models/source.h"
#include "models/trainer.h"
#include "tests/support/gpu.h"
#include "tests/support/scratch.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

// A small model with everything on: dropout, accumulation, EMA, clipping, a rate that changes, an
// epoch that ends mid-run. Heads of 32: bf16 takes the tensor cores.
RunConfig small_config(ObjectiveKind objective) {
  RunConfig config;
  config.model.objective = objective;
  config.model.context = 11;
  config.model.layers = 1;
  config.model.heads = 1;
  config.model.width = 32;
  config.model.dropout = 0.1;
  config.training.steps = 100;
  config.training.batch = 2;
  config.training.accumulation = 2;
  config.training.warmup = 3;
  config.training.lr = 1e-2;
  config.training.min_lr = 1e-3;
  config.training.clip = 0.5;
  config.training.ema = 0.9;
  config.training.stride = 11;
  config.training.eval_windows = 4;
  config.training.eval_draws = 2;
  config.training.seed = 7;
  return config;
}

Trainer make_trainer(RunConfig config, const Device& device) {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  config.model.vocab_size = tokenizer.vocab_size();
  return Trainer(resolve(config), tokenizer,
                 split_tokens(tokenizer.encode(source.generate(300, 3)), 0.8, 0.1), device);
}

// Every byte that a checkpoint holds.
std::vector<std::string> saved(const Trainer& trainer) {
  const Scratch scratch;
  trainer.save(scratch.path());
  std::vector<std::string> files;
  for (const char* file : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
    files.push_back(slurp(scratch / file));
  }
  return files;
}

struct Trained {
  std::vector<StepMetrics> metrics;
  std::vector<std::string> files;
};

// between: called after each step.
Trained train(Trainer& trainer, int steps, const std::function<void()>& between = {}) {
  Trained trained;
  for (int step = 0; step < steps; ++step) {
    trainer.step();
    if (between) between();
    trained.metrics.push_back(trainer.metrics());
  }
  trained.files = saved(trainer);
  return trained;
}

const char* dtype() {
  return GENERATE(as<const char*>{}, "f32", "bf16");
}

}  // namespace

TEST_CASE("recorded steps equal eager steps, bit for bit", "[gpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const Device device = make_device("cuda", dtype());
  Trainer eager = make_trainer(small_config(objective), device);
  Trainer recorded = make_trainer(small_config(objective), device);
  eager.set_capture(false);
  const Trained wanted = train(eager, 4), got = train(recorded, 4);
  CHECK(eager.micro_step_launches() == 0);
  CHECK(recorded.micro_step_launches() > 0);
  CHECK(recorded.update_launches() > 0);
  CHECK(got.files == wanted.files);
  for (std::size_t step = 0; step < got.metrics.size(); ++step) {
    INFO("step " << step);
    CHECK(got.metrics[step].loss == wanted.metrics[step].loss);
    CHECK(got.metrics[step].lr == wanted.metrics[step].lr);
    CHECK(got.metrics[step].grad_norm == wanted.metrics[step].grad_norm);
  }
}

TEST_CASE("a recorded step draws anew: its masks, dropout and rate follow the step", "[gpu]") {
  Trainer trainer = make_trainer(small_config(ObjectiveKind::llada), make_device("cuda", "f32"));
  const Trained trained = train(trainer, 5);
  for (std::size_t step = 2; step < 5; ++step) {  // recorded ones
    CHECK(trained.metrics[step].loss != trained.metrics[step - 1].loss);
    CHECK(trained.metrics[step].lr != trained.metrics[step - 1].lr);
  }
}

TEST_CASE("an evaluation between recorded steps repeats, and leaves them alone", "[gpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const Device device = make_device("cuda", "bf16");
  Trainer plain = make_trainer(small_config(objective), device);
  Trainer evaluated = make_trainer(small_config(objective), device);
  const Trained wanted = train(plain, 3);
  const Trained got = train(evaluated, 3, [&] {
    const Evaluation first = evaluated.evaluate("val"), second = evaluated.evaluate("val");
    CHECK(first.loss == second.loss);
  });
  CHECK(got.files == wanted.files);
}

TEST_CASE("a trainer loaded on the GPU repeats an uninterrupted one in every saved byte", "[gpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const Device device = make_device("cuda", "bf16");
  const Scratch middle;
  Trainer straight = make_trainer(small_config(objective), device);
  train(straight, 2);
  straight.save(middle.path());
  const Trained wanted = train(straight, 2);
  Trainer resumed = make_trainer(small_config(objective), device);
  train(resumed, 2);  // recorded already; whatever it did before is gone
  resumed.load(middle.path());
  CHECK(train(resumed, 2).files == wanted.files);
}

TEST_CASE("training on the GPU follows the CPU's losses", "[gpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  constexpr int kSteps = 7;
  Trainer reference = make_trainer(small_config(objective), On<Cpu, double>{});
  const Trained wanted = train(reference, kSteps);
  for (const auto& [type, limit] : {std::pair{"f32", 1e-4}, std::pair{"bf16", 0.05}}) {
    Trainer trainer = make_trainer(small_config(objective), make_device("cuda", type));
    const Trained got = train(trainer, kSteps);
    for (std::size_t step = 0; step < kSteps; ++step) {
      INFO(type << ", step " << step);
      CHECK(got.metrics[step].loss == Approx(wanted.metrics[step].loss).epsilon(limit));
      CHECK(got.metrics[step].lr == wanted.metrics[step].lr);
      CHECK(got.metrics[step].finite);
    }
  }
}

TEST_CASE("a gradient that is not finite leaves weights and moments on the GPU alone", "[gpu]") {
  Trainer trainer = make_trainer(small_config(ObjectiveKind::ar), make_device("cuda", "bf16"));
  train(trainer, 3);
  ParameterStore& store = trainer.transformer().parameters();
  const Parameter& norm = store.parameters().back();
  const std::vector<double> whole = store.read(norm);
  std::vector<double> broken = whole;
  broken[0] = std::numeric_limits<double>::quiet_NaN();
  store.write(norm, broken);
  const std::vector<double> other = store.read(store.parameters().front());
  trainer.step();
  CHECK_FALSE(trainer.metrics().finite);
  CHECK(trainer.metrics().skipped == 1);
  CHECK(store.read(store.parameters().front()) == other);
  store.write(norm, whole);
  trainer.step();
  CHECK(trainer.metrics().finite);
  CHECK(trainer.metrics().skipped == 1);
  CHECK(store.read(store.parameters().front()) != other);
}

TEST_CASE("where updates are skipped on the GPU a trainer goes back, and on with other data",
          "[gpu]") {
  const Device device = make_device("cuda", "bf16");
  const Scratch good, back;
  Trainer trainer = make_trainer(small_config(ObjectiveKind::llada), device);
  const std::vector<std::string> three = train(trainer, 3).files;
  trainer.save(good.path());
  ParameterStore& store = trainer.transformer().parameters();
  const Parameter& norm = store.parameters().back();
  std::vector<double> broken = store.read(norm);
  broken[0] = std::numeric_limits<double>::quiet_NaN();
  store.write(norm, broken);
  LossWatch watch(0);
  watch.went_back(3);
  auto verdict = LossWatch::Verdict::good;
  while (verdict == LossWatch::Verdict::good) {
    REQUIRE(trainer.steps_done() < 3 + LossWatch::kMostSkipped);
    trainer.step();
    verdict = watch.note(trainer.steps_done(), trainer.metrics());
  }
  CHECK(verdict == LossWatch::Verdict::not_finite);
  CHECK(watch.good_step() == 3);
  trainer.go_back(good.path());
  trainer.save(back.path());
  CHECK(read_training_state(back / "state.json").skipped_batches == LossWatch::kMostSkipped);
  CHECK(slurp(back / "model.safetensors") == three[0]);
  CHECK(slurp(back / "optimizer.safetensors") == three[1]);

  Trainer resumed = make_trainer(small_config(ObjectiveKind::llada), device);
  resumed.load(back.path());
  const Trained wanted = train(resumed, 3), got = train(trainer, 3);
  CHECK(got.files == wanted.files);
  for (const StepMetrics& metrics : got.metrics) CHECK(metrics.finite);
}

#ifdef MASQUE_EMULATE
TEST_CASE("memory that a GPU has not is named, with its size and what to change", "[emulated]") {
  const Device device = make_device("cuda", "bf16");
  // Of a trainer for whom 16 MiB are left.
  const auto refusal = [&](const RunConfig& config) {
    const std::size_t before = emulator::settings().device_memory;
    std::size_t free = 0, total = 0;
    REQUIRE(cudaMemGetInfo(&free, &total) == cudaSuccess);
    emulator::settings().device_memory = total - free + (std::size_t{16} << 20);
    std::string message;
    try {
      Trainer trainer = make_trainer(config, device);
      trainer.step();
    } catch (const InputError&) {
      FAIL("no bad input");
    } catch (const Error& error) {
      message = error.what();
    }
    emulator::settings().device_memory = before;
    return message;
  };
  using Catch::Contains;
  RunConfig wide = small_config(ObjectiveKind::llada);
  wide.model.width = 1024;
  CHECK_THAT(refusal(wide), Contains("out of memory on the GPU (16.0 MiB of its ") &&
                                Contains("parameters: ") &&
                                Contains(" MiB more are asked for: lower layers or width"));
  RunConfig many = small_config(ObjectiveKind::llada);
  many.training.batch = 4096;
  CHECK_THAT(refusal(many), Contains("activations of a training step") &&
                                Contains("more are asked for: lower batch"));
}

TEST_CASE("streams that run late change nothing: no buffer is filled before it has travelled",
          "[emulated]") {
  const Device device = make_device("cuda", "f32");
  Trainer prompt = make_trainer(small_config(ObjectiveKind::llada), device);
  for (int step = 0; step < 4; ++step) prompt.step();
  const std::vector<std::string> wanted = saved(prompt);
  Trainer late = make_trainer(small_config(ObjectiveKind::llada), device);
  const Deferred deferred;
  for (int step = 0; step < 4; ++step) late.step();  // nobody asks for its metrics
  CHECK(saved(late) == wanted);
}
#endif

}  // namespace masque::test
