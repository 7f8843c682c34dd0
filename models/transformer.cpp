#include "models/transformer.h"

#include <cmath>
#include <numbers>

#include "kernels/philox.h"

namespace masque {
namespace {

constexpr double kInitStd = 0.02;

// Normal deviates for one parameter, by Box–Muller over Philox words: row = the parameter's number.
class Normals {
 public:
  Normals(std::uint64_t seed, std::uint32_t parameter) : seed_(seed), parameter_(parameter) {}

  double next() {
    if (index_ % 2 == 0) {
      const auto words = philox(seed_, {index_ / 2, parameter_, 0, stream_of(Purpose::init)});
      radius_ = std::sqrt(-2 * std::log(uniform(words[0])));
      angle_ = 2 * std::numbers::pi * uniform(words[1]);
    }
    return radius_ * (index_++ % 2 == 0 ? std::cos(angle_) : std::sin(angle_));
  }

 private:
  std::uint64_t seed_;
  std::uint32_t parameter_, index_ = 0;
  double radius_ = 0, angle_ = 0;
};

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, Device device)
    : Transformer(config, device, Declared()) {
  parameters_.allocate();
}

std::int64_t Transformer::parameter_count(const ModelConfig& config) {
  return declared(config, On<Cpu, float>{}).parameters_.count();
}

Transformer Transformer::declared(const ModelConfig& config, Device device) {
  return Transformer(config, device, Declared());
}

Transformer::Transformer(const ModelConfig& config, Device device, Declared /*tag*/)
    : config_(config), parameters_(device) {
  const std::int64_t C = config.width, F = config.mlp_width;
  wte_ = &parameters_.add("wte.weight", {config.vocab_size, C}, true);
  if (config.position == "learned") {
    wpe_ = &parameters_.add("wpe.weight", {config.context, C}, true);
  }
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string name = "blocks." + std::to_string(layer) + ".";
    Block& block = blocks_.emplace_back();
    block.norm1 = add_norm(name + "norm1");
    block.qkv = add_linear(name + "attn.qkv", 3 * C, C);
    block.out = add_linear(name + "attn.out", C, C);
    block.norm2 = add_norm(name + "norm2");
    block.up = add_linear(name + "mlp.up", config.mlp == "swiglu" ? 2 * F : F, C);
    block.down = add_linear(name + "mlp.down", C, F);
  }
  norm_ = add_norm("norm");
  head_ = config.tied ? wte_ : &parameters_.add("head.weight", {config.vocab_size, C}, true);
}

NormParameters Transformer::add_norm(const std::string& name) {
  NormParameters norm;
  norm.kind = config_.norm == "rmsnorm" ? NormKind::rmsnorm : NormKind::layernorm;
  norm.eps = config_.norm_eps;
  norm.weight = &parameters_.add(name + ".weight", {config_.width}, false);
  if (config_.bias && norm.kind == NormKind::layernorm) {
    norm.bias = &parameters_.add(name + ".bias", {config_.width}, false);
  }
  return norm;
}

Transformer::Linear Transformer::add_linear(const std::string& name, std::int64_t out,
                                            std::int64_t in) {
  Linear linear;
  linear.weight = &parameters_.add(name + ".weight", {out, in}, true);
  if (config_.bias) linear.bias = &parameters_.add(name + ".bias", {out}, false);
  return linear;
}

void Transformer::initialise(std::uint64_t seed) {
  const double residual_std = kInitStd / std::sqrt(2.0 * static_cast<double>(config_.layers));
  std::uint32_t number = 0;
  for (Parameter& parameter : parameters_.parameters()) {
    const bool onto_residual = ends_with(parameter.name, "attn.out.weight") ||
                               ends_with(parameter.name, "mlp.down.weight");
    const double std = onto_residual ? residual_std : kInitStd;
    const bool is_norm = ends_with(parameter.name, ".weight") && !parameter.matrix;
    Normals normals(seed, number++);
    std::vector<double> values(static_cast<std::size_t>(parameter.shape.count()));
    for (double& value : values)
      value = parameter.matrix ? std * normals.next() : (is_norm ? 1 : 0);
    parameters_.write(parameter, values);
  }
}

Tensor Transformer::apply(Tape& tape, const Tensor& x, const Linear& layer) const {
  return linear(tape, x, *layer.weight, layer.bias);
}

Dropout Transformer::dropout(const Tape& tape, const StepState* state, std::uint32_t stream) const {
  return {tape.training() ? config_.dropout : 0, state, stream};
}

template <class Attend>
Tensor Transformer::run(Tape& tape, const Tensor& ids, const StepState* state,
                        std::int64_t first_position,
                        std::optional<std::span<const std::int64_t>> rows, Attend attend) {
  const auto residual_dropout = [&](std::size_t number) {
    return dropout(tape, state, stream_of(Purpose::dropout, static_cast<std::uint32_t>(number)));
  };
  const Tensor embedded = embedding(tape, ids, *wte_, wpe_, first_position);
  ResidualNorm x = residual_norm(tape, std::nullopt, embedded, residual_dropout(0),
                                 blocks_.empty() ? norm_ : blocks_[0].norm1);
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    const Block& block = blocks_[layer];
    Tensor qkv = apply(tape, x.normed, block.qkv);
    if (config_.position == "rope") {
      qkv = rope(tape, qkv, config_.heads, config_.rope_theta, first_position);
    }
    Tensor attended = attend(layer, qkv), stream = x.stream;
    if (rows && layer + 1 == blocks_.size()) {
      attended = gather_rows(tape, attended, *rows);
      stream = gather_rows(tape, stream, *rows);
    }
    x = residual_norm(tape, stream, apply(tape, attended, block.out),
                      residual_dropout(1 + 2 * layer), block.norm2);

    const Tensor up = apply(tape, x.normed, block.up);
    const Tensor active = config_.mlp == "swiglu" ? swiglu(tape, up) : gelu(tape, up);
    const Tensor down = apply(tape, active, block.down);
    x = residual_norm(tape, x.stream, down, residual_dropout(2 + 2 * layer),
                      layer + 1 < blocks_.size() ? blocks_[layer + 1].norm1 : norm_);
  }
  return rows && blocks_.empty() ? gather_rows(tape, x.normed, *rows) : x.normed;
}

Tensor Transformer::hidden(Tape& tape, const Tensor& ids, const Tensor* lengths,
                           const StepState* state) {
  return run(tape, ids, state, 0, std::nullopt, [&](std::size_t layer, const Tensor& qkv) {
    const std::uint32_t stream = stream_of(Purpose::attention, static_cast<std::uint32_t>(layer));
    return attention(tape, qkv, config_.heads, causal(), lengths, dropout(tape, state, stream));
  });
}

Tensor Transformer::hidden_at(Tape& tape, const Tensor& ids, const Tensor* lengths,
                              std::span<const std::int64_t> rows) {
  return run(tape, ids, nullptr, 0, rows, [&](std::size_t, const Tensor& qkv) {
    return attention(tape, qkv, config_.heads, causal(), lengths, Dropout());
  });
}

Tensor Transformer::head(Tape& tape, const Tensor& hidden) {
  return linear(tape, hidden, *head_, nullptr);
}

LossResult Transformer::loss(Tape& tape, const Tensor& hidden, const LossInputs& inputs,
                             const LossTotals& totals) {
  return classifier_loss(tape, hidden, *head_, inputs, totals);
}

Tensor Transformer::decode(Tape& tape, const Tensor& ids, std::vector<KeyValueCache>& caches,
                           std::int64_t past) {
  const std::int64_t B = ids.shape[0], T = ids.shape[1];
  std::vector<std::int64_t> last;
  for (std::int64_t b = 0; b < B && T > 1; ++b) last.push_back(b * T + T - 1);
  std::optional<std::span<const std::int64_t>> rows;
  if (T > 1) rows = last;
  Tensor hidden = run(tape, ids, nullptr, past, rows, [&](std::size_t layer, const Tensor& qkv) {
    return attention_decode(tape, qkv, config_.heads, caches.at(layer), past);
  });
  hidden.shape = {B, config_.width};  // of one token it is (B,1,C)
  return hidden;
}

}  // namespace masque
