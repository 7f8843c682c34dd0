#include "models/cached_decoder.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"
#include "core/index.h"
#include "core/out_of_memory.h"
#include "core/threads.h"
#include "kernels/gemm.h"
#include "models/ids_and_logits.h"

namespace masque {
namespace {

// `count` rows of a tensor, from `first` on.
Tensor rows_from(Tensor tensor, std::int64_t first, std::int64_t count) {
  const std::int64_t row = tensor.shape.count() / tensor.shape[0];
  tensor.data = static_cast<std::byte*>(tensor.data) + bytes_of(first * row, tensor.dtype);
  tensor.shape = {count, tensor.shape[1], tensor.shape[2]};
  return tensor;
}

}  // namespace

CachedDecoder::CachedDecoder(Transformer& transformer, std::int64_t B)
    : transformer_(transformer),
      B_(B),
      cache_arena_(transformer.device(), "keys and values of tokens so far", kFewerTexts),
      arenas_(transformer.device(), "activations of a token", kFewerTexts),
      logits_(at(B * transformer.config().vocab_size)) {
  const ModelConfig& config = transformer.config();
  const Shape shape{B, config.context, config.width};
  const DType dtype = activation_dtype(transformer.device());
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    caches_.push_back({cache_arena_.allocate(shape, dtype), cache_arena_.allocate(shape, dtype)});
  }
}

// How many rows go through the network together: never more than kThinRows, and one alone where it
// brings several tokens, so that a row's sums are taken in the same order in any batch. Weights
// that stay in a core's cache are read by every thread for its own rows; larger ones are shared.
std::int64_t CachedDecoder::rows_together(std::int64_t n) const {
  constexpr std::size_t kCachedWeights = 2 << 20;  // bytes
  if (n > 1) return 1;
  const std::int64_t most = std::min(B_, kThinRows), threads = max_threads();
  const ParameterStore& parameters = transformer_.parameters();
  const std::size_t weights = bytes_of(parameters.count(), activation_dtype(parameters.device()));
  if (B_ < threads || weights > kCachedWeights) return most;
  return std::min(most, (B_ + threads - 1) / threads);
}

void CachedDecoder::check_room(std::int64_t n) const {
  CHECK(past_ + n <= transformer_.config().context,
        "decoder: {} tokens after {} exceed the context of {}", n, past_,
        transformer_.config().context);
}

std::span<const double> CachedDecoder::append(std::span<const std::int32_t> ids, std::int64_t n) {
  check_ids(ids, transformer_.config().vocab_size);
  check_room(n);
  CHECK(std::ssize(ids) == B_ * n, "decoder: {} ids for {} rows of {}", ids.size(), B_, n);
  const std::int64_t together = on_gpu(arenas_.device()) ? B_ : rows_together(n);
  arenas_.make(max_threads());
  share_out((B_ + together - 1) / together, [&](std::int64_t i, int thread) {
    const std::int64_t first = i * together, count = std::min(together, B_ - first);
    Arena& arena = arenas_[thread];
    arena.reset();
    const auto own = ids.subspan(at(first * n), at(count * n));
    const Tensor logits = run(arena, device_ids(arena, {count, n}, own), first);
    std::vector<std::size_t> rows(at(count));
    std::iota(rows.begin(), rows.end(), at(first));
    read_logits(arena.device(), logits, rows, logits_);
  });
  past_ += n;
  return logits_;
}

Tensor CachedDecoder::append(const Tensor& ids) {
  check_room(ids.shape[1]);
  arenas_.make(1);
  arenas_[0].reset();
  const Tensor logits = run(arenas_[0], ids, 0);
  past_ += ids.shape[1];
  return logits;
}

Tensor CachedDecoder::run(Arena& arena, const Tensor& ids, std::int64_t first) {
  std::vector<KeyValueCache> caches;
  for (const KeyValueCache& cache : caches_) {
    const std::int64_t count = ids.shape[0];
    caches.push_back({rows_from(cache.keys, first, count), rows_from(cache.values, first, count)});
  }
  Tape tape(arena, Tape::Mode::inference);
  return transformer_.head(tape, transformer_.decode(tape, ids, caches, past_));
}

}  // namespace masque
