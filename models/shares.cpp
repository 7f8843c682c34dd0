#include "models/shares.h"

#include <algorithm>

#include "core/check.h"
#include "core/index.h"
#include "core/threads.h"
#include "kernels/gemm.h"

namespace masque {
namespace {

// What every product of a forward has at least: on a CPU few rows are summed in another order.
std::int64_t least_rows(bool gpu) {
  return gpu ? 1 : kThinRows + 1;
}

}  // namespace

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

ShareInput::ShareInput(const PredictorInput& input, const Share& share, bool gpu)
    : T_(input.T),
      ids_(input.ids.begin() + share.first * input.T,
           input.ids.begin() + (share.first + share.count) * input.T) {
  if (!input.lengths.empty()) {
    lengths_.assign(input.lengths.begin() + share.first,
                    input.lengths.begin() + share.first + share.count);
  }
  for (const std::size_t k : share.wanted) {
    rows_.push_back(input.rows[k] - share.first * input.T);
  }
  const std::int64_t least = least_rows(gpu);
  while (std::ssize(ids_) < least) {
    ids_.insert(ids_.end(), input.ids.begin() + share.first * input.T,
                input.ids.begin() + (share.first + 1) * input.T);
    if (!lengths_.empty()) lengths_.push_back(lengths_.front());
  }
  while (std::ssize(rows_) < least) rows_.push_back(rows_.front());
}

ShareInput ShareInput::largest(const PredictorInput& input, const std::vector<Share>& shares,
                               bool gpu) {
  std::int64_t sequences = 0;
  std::size_t wanted = 0;
  for (const Share& share : shares) {
    sequences = std::max(sequences, share.count);
    wanted = std::max(wanted, share.wanted.size());
  }
  const std::int64_t least = least_rows(gpu);
  sequences = std::max(sequences, (least + input.T - 1) / input.T);
  ShareInput largest;
  largest.T_ = input.T;
  largest.ids_.resize(at(sequences * input.T));
  if (!input.lengths.empty()) largest.lengths_.resize(at(sequences));
  largest.rows_.resize(std::max(wanted, at(least)));
  return largest;
}

}  // namespace masque
