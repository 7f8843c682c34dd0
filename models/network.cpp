#include "models/network.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"
#include "core/index.h"
#include "core/out_of_memory.h"
#include "core/threads.h"
#include "kernels/gemm.h"

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

// Sequences that go through the network together.
struct Share {
  std::int64_t first = 0, count = 0;
  std::vector<std::size_t> wanted;  // of input.rows, those in them
};

// On a GPU all. On a CPU as many as keep the activations in a thread's cache and are worth packing
// weights for; all where that would leave threads without work.
std::vector<Share> shares_of(const PredictorInput& input, bool gpu) {
  constexpr std::int64_t kShareRows = 512;
  const std::int64_t threads = max_threads();
  std::int64_t count = 1;
  if (!gpu && input.B >= threads) {
    const std::int64_t least = (input.B * input.T + kShareRows - 1) / kShareRows;
    count = std::min(input.B, (least + threads - 1) / threads * threads);
  }
  std::vector<Share> shares(at(count));
  std::vector<std::size_t> share_of(at(input.B));
  for (std::int64_t s = 0; s < count; ++s) {
    Share& share = shares[at(s)];
    share.first = input.B * s / count;
    share.count = input.B * (s + 1) / count - share.first;
    std::fill_n(share_of.begin() + share.first, share.count, at(s));
  }
  for (std::size_t k = 0; k < input.rows.size(); ++k) {
    const std::int64_t row = input.rows[k];
    CHECK(row >= 0 && row < input.B * input.T, "network: row {} of {} sequences of {}", row,
          input.B, input.T);
    shares[share_of[at(row / input.T)]].wanted.push_back(k);
  }
  return shares;
}

// On a CPU every product has more than kThinRows rows, so that it sums in one order in every batch.
std::int64_t least_rows(bool gpu) {
  return gpu ? 1 : kThinRows + 1;
}

// A share as an input of its own; copies of its first sequence and row fill it up.
class ShareInput {
 public:
  ShareInput(const PredictorInput& input, const Share& share, bool gpu)
      : ids_(input.ids.begin() + share.first * input.T,
             input.ids.begin() + (share.first + share.count) * input.T) {
    const std::int64_t least = least_rows(gpu);
    if (!input.lengths.empty()) {
      lengths_.assign(input.lengths.begin() + share.first,
                      input.lengths.begin() + share.first + share.count);
    }
    for (const std::size_t k : share.wanted) {
      rows_.push_back(input.rows[k] - share.first * input.T);
    }
    std::int64_t count = share.count;
    for (; count * input.T < least; ++count) {
      ids_.insert(ids_.end(), input.ids.begin() + share.first * input.T,
                  input.ids.begin() + (share.first + 1) * input.T);
      if (!lengths_.empty()) lengths_.push_back(lengths_.front());
    }
    while (std::ssize(rows_) < least) rows_.push_back(rows_.front());
    view_ = {ids_, lengths_, count, input.T, rows_};
  }
  const PredictorInput& view() const { return view_; }

 private:
  std::vector<std::int32_t> ids_, lengths_;
  std::vector<std::int64_t> rows_;
  PredictorInput view_;
};

// The activations of the largest of the shares, in bytes: of its shape alone.
std::size_t share_bytes(Transformer& transformer, const PredictorInput& input,
                        const std::vector<Share>& shares) {
  std::size_t sequences = 0, wanted = 0;
  for (const Share& share : shares) {
    sequences = std::max(sequences, at(share.count));
    wanted = std::max(wanted, share.wanted.size());
  }
  const bool gpu = on_gpu(transformer.device());
  const std::size_t least = at(least_rows(gpu)), T = at(input.T);
  sequences = std::max(sequences, (least + T - 1) / T);
  const std::vector<std::int32_t> ids(sequences * T);
  const std::vector<std::int32_t> lengths(input.lengths.empty() ? 0 : sequences);
  const std::vector<std::int64_t> rows(std::max(wanted, least));
  Arena counting = Arena::counting(transformer.device());
  forward(transformer, counting, {ids, lengths, std::ssize(ids) / input.T, input.T, rows});
  return counting.high_water();
}

// Row k of activations (…,V), as doubles on the host, becomes row rows[k] of `out`.
void read_logits(const Device& device, const Tensor& tensor, std::span<const std::size_t> rows,
                 std::span<double> out) {
  const auto V = at(tensor.shape[-1]);
  std::visit(
      [&](auto on) {
        using Real = typename decltype(on)::real;
        std::vector<Real> values(rows.size() * V);
        copy_to_host(device, values.data(), tensor.as<Real>(), values.size() * sizeof(Real));
        for (std::size_t k = 0; k < rows.size(); ++k) {
          std::copy_n(values.data() + k * V, V, out.data() + rows[k] * V);
        }
      },
      device);
}

// `count` rows of a tensor, from `first` on.
Tensor rows_from(Tensor tensor, std::int64_t first, std::int64_t count) {
  const std::int64_t row = tensor.shape.count() / tensor.shape[0];
  tensor.data = static_cast<std::byte*>(tensor.data) + bytes_of(first * row, tensor.dtype);
  tensor.shape = {count, tensor.shape[1], tensor.shape[2]};
  return tensor;
}

}  // namespace

void ThreadArenas::make(int threads) {
  while (std::ssize(arenas_) < threads) arenas_.emplace_back(device_, what_, mend_);
}

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
