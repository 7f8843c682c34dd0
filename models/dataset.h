// Tokens, splits, windows and training sequences.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace masque {

struct TrainingConfig;

struct Splits {
  std::vector<std::int32_t> train, val, test;
};
// Cuts by fraction, in order, before any windowing: train | val | the rest. InputError where the
// fractions are none.
Splits split_tokens(std::vector<std::int32_t> tokens, double train_fraction, double val_fraction);
// As a run cuts them: of train, the first data_fraction.
Splits split_tokens(std::vector<std::int32_t> tokens, const TrainingConfig& training);
// InputError with numbers and the mend where train, val (where there is one) or, if asked for, test
// has fewer than `length` tokens.
void require_sequences(const Splits& splits, const TrainingConfig& training, std::int64_t length,
                       bool and_test = false);

// A window of a likelihood: tokens[begin, begin + length), of which [scored_from, length) are
// scored. All windows are of full length: the last overlaps its predecessor, and what both cover is
// visible, not scored again.
struct Window {
  std::int64_t begin = 0, length = 0, scored_from = 0;
};
// Disjoint windows that cover `count` tokens. InputError where count < length.
std::vector<Window> cover(std::int64_t count, std::int64_t length);
// A fixed subset of at most `limit` (0: all), spread evenly: the same for all models.
std::vector<Window> subset(const std::vector<Window>& windows, std::int64_t limit);

// The order in which training sees a split: a pure function of (seed, index), so resuming needs no
// state. stride > 0: sequences at multiples of stride, each epoch in a new keyed permutation; the
// last may be short. stride = 0: random crops of full length.
class Sequences {
 public:
  Sequences(std::span<const std::int32_t> tokens, std::int64_t length, std::int64_t stride,
            std::uint64_t seed);

  std::int64_t count() const {
    return count_;
  }  // sequences an epoch (crops: as if stride were length)
  std::int64_t length() const { return length_; }
  // Where a sequence lies in the split: its first token, and how many of `length` are real.
  struct Place {
    std::int64_t begin = 0, real = 0;
  };
  // Sequence number `index` of the whole run (0, 1, …, across epochs).
  Place find(std::int64_t index) const;
  // Writes `length` tokens, padded with [PAD]; by index also returns how many are real.
  void read(const Place& place, std::int32_t* tokens) const;
  std::int64_t read(std::int64_t index, std::int32_t* tokens) const;

 private:
  std::span<const std::int32_t> tokens_;
  std::int64_t length_, stride_, count_;
  std::uint64_t seed_;
};

// Element `index` of a permutation of 0 … count − 1 keyed by (seed, epoch): a Feistel network over
// Philox with cycle walking.
std::int64_t permuted(std::int64_t index, std::int64_t count, std::uint64_t seed,
                      std::uint32_t epoch);

}  // namespace masque
