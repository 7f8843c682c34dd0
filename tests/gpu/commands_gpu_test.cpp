// The commands on a GPU, emulated or real, as a user gives them.
#include <nlohmann/json.hpp>

#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

ProcessResult masque(const Words& words) {
  const ProcessResult result = run_program(MASQUE_BINARY, words);
  INFO(result.err);
  CHECK(result.code == 0);
  return result;
}

Words training(const Scratch& scratch, const std::string& run, const std::string& objective) {
  const fs::path text = scratch / "text.txt";
  if (!fs::exists(text)) spill(text, Source().generate(1500, 1));
  Words words = {"train",       (scratch / run).string(),
                 "--objective", objective,
                 "--data",      text.string(),
                 "--preset",    "tiny",
                 "--device",    "cuda",
                 "--set"};
  for (const char* key : {"layers=1", "heads=1", "width=32", "context=16", "dropout=0.1", "batch=2",
                          "accumulation=2", "steps=6", "warmup=2", "log_every=2", "eval_every=3",
                          "save_every=3", "keep=10", "eval_windows=3", "eval_draws=2"}) {
    words.emplace_back(key);
  }
  return words;
}

}  // namespace

TEST_CASE("train, resume, eval and sample on the GPU, in bf16 by default", "[gpu]") {
  const std::string objective = GENERATE("llada", "ar");
  const Scratch scratch;
  const std::string run = (scratch / "run").string();
  masque(training(scratch, "run", objective));
  const Json environment = Json::parse(slurp(scratch / "run" / "environment.json"));
  CHECK_THAT(environment["device"].get<std::string>(), Catch::Contains("bf16"));

  // As it lay on disk after step 3, gone on with.
  const fs::path whole = scratch / "run", cut = scratch / "cut";
  fs::copy(whole, cut, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::remove_all(cut / "checkpoints" / "step_6");
  for (const char* name : {"best", "last"}) {
    fs::remove(cut / "checkpoints" / name);
    fs::create_symlink("step_3", cut / "checkpoints" / name);
  }
  const ProcessResult resumed = masque({"train", cut.string(), "--resume", "--device", "cuda"});
  CHECK_THAT(resumed.err, !Catch::Contains("products are timed anew"));
  CHECK(slurp(whole / "products.txt") == slurp(cut / "products.txt"));
  for (const char* file : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
    INFO(file);
    CHECK(slurp(whole / "checkpoints" / "step_6" / file) ==
          slurp(cut / "checkpoints" / "step_6" / file));
  }

  const auto nats = [&](const std::string& device, const std::string& dtype) {
    const ProcessResult result =
        masque({"eval", run, "--windows", "4", "--device", device, "--dtype", dtype, "--json"});
    return Json::parse(result.out)["nats_per_token"].get<double>();
  };
  const double exact = nats("cpu", "f64");
  CHECK(nats("cuda", "f32") == Approx(exact).epsilon(1e-5));
  CHECK(nats("cuda", "bf16") == Approx(exact).epsilon(1e-2));

  const ProcessResult sample = masque({"sample", run, "--device", "cuda", "--n", "2", "--json"});
  const Json samples = Json::parse(sample.out)["samples"];
  CHECK(samples.size() == 2);
  CHECK(samples[0]["text"].get<std::string>().size() == 16);
}

TEST_CASE("a run from another GPU goes on, and says that its products are timed anew", "[gpu]") {
  const Scratch scratch;
  Words words = training(scratch, "run", "ar");
  masque(words);
  spill(scratch / "run" / "products.txt", "Some other GPU cublasLt 1\n");
  const ProcessResult resumed =
      masque({"train", words[1], "--resume", "--device", "cuda", "--steps", "8"});
  CHECK_THAT(resumed.err, Catch::Contains("products.txt is of another GPU"));
}

TEST_CASE("what a GPU cannot do is refused with what it can", "[gpu]") {
  const auto refusal = [](const Words& device) {
    Words words = {"sample", "nowhere"};
    words.insert(words.end(), device.begin(), device.end());
    const ProcessResult result = run_program(MASQUE_BINARY, words);
    CHECK(result.code == 2);
    return result.err;
  };
  CHECK_THAT(refusal({"--device", "cuda", "--dtype", "f64"}),
             Catch::Contains("--dtype f64: must be auto, f32 or bf16 on a GPU"));
  CHECK_THAT(refusal({"--device", "cuda:99"}),
             Catch::Contains("--device cuda:99: this machine has"));
  CHECK_THAT(refusal({"--device", "cuda:x"}), Catch::Contains("--device cuda:x: must be"));
}

}  // namespace masque::test
