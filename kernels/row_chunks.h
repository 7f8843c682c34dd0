// How CPU kernels cut work among threads: into pieces fixed by the shape, never by the number of
// threads, so that every sum is taken in one order. A parameter gradient is summed chunk by chunk
// of rows into scratch, then over the chunks in order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace masque {

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

// size zeros that live until the next call of the same thread and type.
template <class Value>
Value* zeroed_scratch(std::int64_t size) {
  thread_local std::vector<Value> scratch;
  scratch.assign(static_cast<std::size_t>(size), Value{});
  return scratch.data();
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

}  // namespace masque
