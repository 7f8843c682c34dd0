#include "models/objective.h"
#include "models/tokenizer.h"
#include "models/transformer.h"
#include "tests/support/op_case.h"
#include "tests/support/random.h"

// The losses of whole models: both block families under both objectives.
namespace masque::test {
namespace {

constexpr double kF32Limit = 3.5e-6;
constexpr double kBf16Limit =
    3e-2;  // rounded at every op of two blocks: 1.5 times what is measured
constexpr std::int64_t kRows = 3;
constexpr std::int32_t kFirstCharacter = 4;

struct Network {
  Network(const ModelConfig& config, const Device& device) : transformer(config, device) {
    transformer.initialise(3);
  }
  Transformer transformer;
};

ModelConfig gpt_blocks() {
  ModelConfig config;
  config.vocab_size = 13;
  config.context = 7;
  config.layers = 2;
  config.heads = 2;
  config.width = 14;
  config.mlp_width = 22;
  return config;
}

ModelConfig llama_blocks() {
  ModelConfig config = gpt_blocks();
  config.heads = 3;
  config.width = 18;
  config.norm = "rmsnorm";
  config.mlp = "swiglu";
  config.position = "rope";
  config.bias = false;
  return config;
}

ModelConfig with_options(ModelConfig config, bool tied, double dropout) {
  config.tied = tied;
  config.dropout = dropout;
  return config;
}

// Rows of full, middling and least length. Fills what the trainer would.
Batch batch_of(OpRun& run, const Objective& objective, const ModelConfig& config) {
  const std::int64_t L = objective.sequence_length();
  const auto vocabulary = static_cast<std::size_t>(config.vocab_size);
  const std::vector<std::int32_t> tokens =
      integers(23, kRows * L, kFirstCharacter, static_cast<std::int32_t>(vocabulary) - 1);
  Batch batch = objective.allocate(run.tape().arena(), kRows);
  write(run.device(), batch.tokens, {tokens.begin(), tokens.end()});
  write(run.device(), batch.lengths, {static_cast<double>(L), static_cast<double>(L - 3), 2});
  run.host_state().normaliser = 1.0 / static_cast<double>(2 * L);
  objective.prepare(run.device(), batch, run.state(), 3 + kRows);
  std::vector<std::uint8_t> excluded(vocabulary, 0);
  excluded[Tokenizer::kPad] = excluded[Tokenizer::kMask] = excluded[Tokenizer::kStart] = 1;
  batch.loss.excluded = run.bytes(excluded);
  return batch;
}

OpCase loss_case(ObjectiveKind kind, const std::string& variant, ModelConfig config) {
  config.objective = kind;
  OpCase op;
  op.name = std::string(kind == ObjectiveKind::llada ? "llada" : "ar") + "_loss";
  op.variant = variant;
  op.call = [config](OpRun& run) {
    const Objective objective(config, TrainingConfig());
    Transformer& network = run.own<Network>(config, run.device()).transformer;
    run.adopt(network.parameters());
    const Batch batch = batch_of(run, objective, config);
    const LossResult result =
        objective.loss(run.tape(), network, batch, run.state(), {.loss = run.loss()});
    run.output("nll", result.nll);
  };
  op.f32_limit = kF32Limit;
  op.bf16_limit = kBf16Limit;
  op.along_directions = true;
  op.same_without_tape = config.dropout == 0;
  return op;
}

std::vector<OpCase> loss_cases(ObjectiveKind kind) {
  return {
      loss_case(kind, "gpt blocks", gpt_blocks()),
      loss_case(kind, "gpt blocks tied dropout=0.2", with_options(gpt_blocks(), true, 0.2)),
      loss_case(kind, "llama blocks", llama_blocks()),
      loss_case(kind, "llama blocks tied dropout=0.2", with_options(llama_blocks(), true, 0.2)),
  };
}

const Registration llada_registration(loss_cases(ObjectiveKind::llada));
const Registration ar_registration(loss_cases(ObjectiveKind::ar));

}  // namespace
}  // namespace masque::test
