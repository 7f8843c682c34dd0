// A batch shared out between threads: each share is some of its sequences, and goes through the
// network alone.
#pragma once

#include <cstdint>
#include <vector>

#include "models/predictor.h"

namespace masque {

struct Share {
  std::int64_t first = 0, count = 0;  // sequences
  std::vector<std::size_t> wanted;    // of input.rows, those in them
};

// On a GPU one share. On a CPU of as many sequences as keep the activations in a thread's cache and
// are worth packing weights for; all where that would leave threads without work. Error where a row
// is outside B·T.
std::vector<Share> shares_of(const PredictorInput& input, bool gpu);

// A share as an input of its own. On a CPU copies of its first sequence and row fill it up until
// every product sums in the order it has in any batch.
class ShareInput {
 public:
  ShareInput(const PredictorInput& input, const Share& share, bool gpu);

  // Of the shape of the largest of `shares`, its ids all 0: for what depends on the shape alone.
  static ShareInput largest(const PredictorInput& input, const std::vector<Share>& shares,
                            bool gpu);

  // Of what this holds.
  PredictorInput view() const { return {ids_, lengths_, std::ssize(ids_) / T_, T_, rows_}; }

 private:
  ShareInput() = default;

  std::int64_t T_ = 1;
  std::vector<std::int32_t> ids_, lengths_;
  std::vector<std::int64_t> rows_;
};

}  // namespace masque
