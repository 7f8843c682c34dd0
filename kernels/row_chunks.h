// How CPU kernels cut work among threads: into pieces fixed by the shape, never by the number of
// threads, so that every sum is taken in one order. A parameter gradient is summed chunk by chunk
// of rows into scratch, then over the chunks in order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/level.h"
#include "kernels/scratch.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// Below this many elements a parallel region costs more than it saves.
inline constexpr std::int64_t kParallelElements = 16384;

// N rows in at most 32 chunks of at least 8 rows; the last may be shorter.
struct RowChunks {
  explicit RowChunks(std::int64_t N) : rows(std::max<std::int64_t>(8, (N + 31) / 32)), total(N) {}

  std::int64_t count() const { return (total + rows - 1) / rows; }
  std::int64_t begin(std::int64_t chunk) const { return chunk * rows; }
  std::int64_t end(std::int64_t chunk) const { return std::min(total, (chunk + 1) * rows); }

  std::int64_t rows, total;
};

// size zeros to sum into, until the next call of the same thread.
template <class Value>
Value* zeroed_sums(std::int64_t size) {
  Value* sums = scratch_of<Value>(Scratch::sums, size);
  std::fill_n(sums, size, Value{});
  return sums;
}

// sums[c] += Σ over chunks, in order, of parts[chunk·stride + c].
template <class Value>
void add_chunks(Value* sums, const Value* parts, std::int64_t chunks, std::int64_t stride,
                std::int64_t C) {
  for (std::int64_t c = 0; c < C; ++c) {
    Value sum = 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += parts[chunk * stride + c];
    sums[c] += sum;
  }
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
