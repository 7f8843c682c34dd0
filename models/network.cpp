#include "models/network.h"

#include "core/check.h"
#include "core/out_of_memory.h"

namespace masque {
namespace {

Tensor device_ids(Arena& arena, const Shape& shape, std::span<const std::int32_t> ids) {
  CHECK(shape.count() == static_cast<std::int64_t>(ids.size()), "network: {} ids for shape {}",
        ids.size(), shape);
  Tensor tensor = arena.allocate(shape, DType::i32);
  if (arena.counts_only()) return tensor;
  copy_to_device(arena.device(), tensor.data, ids.data(), ids.size_bytes());
  return tensor;
}

void check_ids(std::span<const std::int32_t> ids, std::int64_t V) {
  for (const std::int32_t id : ids) {
    CHECK(id >= 0 && id < V, "network: id {} for a vocabulary of {}", id, V);
  }
}

// The logits (K,V) of input's rows.
Tensor forward(Transformer& transformer, Arena& arena, const PredictorInput& input) {
  Tape tape(arena, Tape::Mode::inference);
  const Tensor ids = device_ids(arena, {input.B, input.T}, input.ids);
  Tensor lengths;
  if (!input.lengths.empty()) lengths = device_ids(arena, {input.B}, input.lengths);
  const Tensor hidden =
      transformer.hidden_at(tape, ids, input.lengths.empty() ? nullptr : &lengths, input.rows);
  return transformer.head(tape, hidden);
}

// Copies activations to the host, as doubles.
void read_logits(const Device& device, const Tensor& tensor, std::span<double> out) {
  CHECK(tensor.shape.count() == static_cast<std::int64_t>(out.size()),
        "network: room for {} logits, not {}", out.size(), tensor.shape);
  std::visit(
      [&](auto on) {
        using Real = typename decltype(on)::real;
        std::vector<Real> values(out.size());
        copy_to_host(device, values.data(), tensor.as<Real>(), values.size() * sizeof(Real));
        std::copy(values.begin(), values.end(), out.begin());
      },
      device);
}

}  // namespace

CachedDecoder::CachedDecoder(Transformer& transformer, std::int64_t B)
    : transformer_(transformer),
      B_(B),
      cache_arena_(transformer.device(), "keys and values of tokens so far", kFewerTexts),
      arena_(transformer.device(), "activations of a token", kFewerTexts),
      logits_(static_cast<std::size_t>(B * transformer.config().vocab_size)) {
  const ModelConfig& config = transformer.config();
  const Shape shape{B, config.context, config.width};
  const DType dtype = activation_dtype(transformer.device());
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    caches_.push_back({cache_arena_.allocate(shape, dtype), cache_arena_.allocate(shape, dtype)});
  }
}

std::span<const double> CachedDecoder::append(std::span<const std::int32_t> ids, std::int64_t n) {
  check_ids(ids, transformer_.config().vocab_size);
  arena_.reset();
  read_logits(arena_.device(), run(device_ids(arena_, {B_, n}, ids)), logits_);
  return logits_;
}

Tensor CachedDecoder::append(const Tensor& ids) {
  arena_.reset();
  return run(ids);
}

Tensor CachedDecoder::run(const Tensor& ids) {
  const std::int64_t n = ids.shape[1];
  CHECK(past_ + n <= transformer_.config().context,
        "decoder: {} tokens after {} exceed the context of {}", n, past_,
        transformer_.config().context);
  Tape tape(arena_, Tape::Mode::inference);
  const Tensor hidden = transformer_.decode(tape, ids, caches_, past_);
  past_ += n;
  return transformer_.head(tape, hidden);
}

Network::Network(Transformer& transformer)
    : transformer_(transformer),
      arena_(transformer.device(), "activations of a forward",
             "lower --batch or --n, or take a model of a shorter context") {}

void Network::predict(const PredictorInput& input, std::span<double> logits) {
  if (input.rows.empty()) return;
  CHECK(input.T <= context(), "network: {} tokens exceed the context of {}", input.T, context());
  check_ids(input.ids, vocab_size());
  // How much it needs depends on the rows; counted first, as growing takes more.
  Arena counting = Arena::counting(arena_.device());
  forward(transformer_, counting, input);
  arena_.reset();
  arena_.reserve(counting.high_water());
  read_logits(arena_.device(), forward(transformer_, arena_, input), logits);
}

std::unique_ptr<CachedDecoder> Network::make_decoder(std::int64_t B) {
  CHECK(transformer_.causal(), "decoder: a masked diffusion model has no key-value cache");
  return std::make_unique<CachedDecoder>(transformer_, B);
}

}  // namespace masque
