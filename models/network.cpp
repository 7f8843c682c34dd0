#include "models/network.h"

#include <algorithm>

#include "core/check.h"
#include "core/index.h"
#include "core/threads.h"
#include "models/ids_and_logits.h"
#include "models/shares.h"

namespace masque {
namespace {

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

// The activations of the largest of the shares, in bytes.
std::size_t share_bytes(Transformer& transformer, const PredictorInput& input,
                        const std::vector<Share>& shares) {
  Arena counting = Arena::counting(transformer.device());
  forward(transformer, counting,
          ShareInput::largest(input, shares, on_gpu(transformer.device())).view());
  return counting.high_water();
}

}  // namespace

Network::Network(Transformer& transformer)
    : transformer_(transformer),
      arenas_(transformer.device(), "activations of a forward",
              "lower --batch or --n, or take a model of a shorter context") {}

void Network::predict(const PredictorInput& input, std::span<double> logits) {
  if (input.rows.empty()) return;
  CHECK(input.T <= context(), "network: {} tokens exceed the context of {}", input.T, context());
  check_ids(input.ids, vocab_size());
  CHECK(std::ssize(input.ids) == input.B * input.T, "network: {} ids for {} sequences of {}",
        input.ids.size(), input.B, input.T);
  CHECK(std::ssize(logits) == std::ssize(input.rows) * vocab_size(),
        "network: room for {} logits of {} rows", logits.size(), input.rows.size());
  const bool gpu = on_gpu(arenas_.device());
  const std::vector<Share> shares = shares_of(input, gpu);
  // How much it needs depends on the rows; counted first, as growing takes more.
  const std::size_t bytes = share_bytes(transformer_, input, shares);
  const int at_once = static_cast<int>(std::min<std::int64_t>(std::ssize(shares), max_threads()));
  arenas_.make(at_once);
  for (int thread = 0; thread < at_once; ++thread) {
    arenas_[thread].reset();
    arenas_[thread].reserve(bytes);
  }
  share_out(std::ssize(shares), [&](std::int64_t i, int thread) {
    const Share& share = shares[at(i)];
    if (share.wanted.empty()) return;
    const ShareInput own(input, share, gpu);
    Arena& arena = arenas_[thread];
    arena.reset();
    const Tensor own_logits = forward(transformer_, arena, own.view());
    read_logits(arena.device(), own_logits, share.wanted, logits);
  });
}

std::size_t predict_bytes(Transformer& transformer, std::int64_t B, std::int64_t T,
                          std::int64_t positions) {
  std::vector<std::int64_t> rows;
  for (std::int64_t k = 0; k < positions; ++k) rows.push_back(k % B * T + k / B);
  const PredictorInput input{{}, {}, B, T, rows};
  const std::vector<Share> shares = shares_of(input, on_gpu(transformer.device()));
  return share_bytes(transformer, input, shares) *
         std::min<std::size_t>(shares.size(), at(max_threads()));
}

std::unique_ptr<CachedDecoder> Network::make_decoder(std::int64_t B) {
  CHECK(transformer_.causal(), "decoder: a masked diffusion model has no key-value cache");
  return std::make_unique<CachedDecoder>(transformer_, B);
}

}  // namespace masque
