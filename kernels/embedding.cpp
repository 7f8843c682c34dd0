#include "kernels/embedding.h"

#include <algorithm>

#include "kernels/level.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr std::int64_t kColumns = 32;  // of a block: one thread's share of a gradient row

// Rows by token, in order within a token: rows of token v are order[begin[v]] … order[begin[v+1]).
struct RowsByToken {
  std::int64_t* begin;  // (V+1)
  std::int64_t* order;  // (N)

  RowsByToken(const std::int32_t* tokens, std::int64_t N, std::int64_t V)
      : begin(scratch_of<std::int64_t>(Scratch::rows, V + 1 + N)), order(begin + V + 1) {
    std::fill_n(begin, V + 1, std::int64_t{0});
    for (std::int64_t n = 0; n < N; ++n) ++begin[tokens[n] + 1];
    for (std::int64_t v = 0; v < V; ++v) begin[v + 1] += begin[v];
    for (std::int64_t n = 0; n < N; ++n) order[begin[tokens[n]]++] = n;
    for (std::int64_t v = V; v > 0; --v) begin[v] = begin[v - 1];
    begin[0] = 0;
  }
};

}  // namespace

template <class Real>
void embedding_forward(On<Cpu, Real>, const EmbeddingForward<Real>& args) {
  const std::int64_t T = args.T, C = args.C, N = args.B * T;
#pragma omp parallel for schedule(static) if (N * C >= kParallelElements)
  for (std::int64_t n = 0; n < N; ++n) {
    const Real* token = args.wte + args.tokens[n] * C;
    Real* out = args.out + n * C;
    if (args.wpe == nullptr) {
      std::copy(token, token + C, out);
      continue;
    }
    const Real* position = args.wpe + (args.first_position + n % T) * C;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) out[c] = token[c] + position[c];
  }
}

// A frequent token (a space, [MASK]) sums thousands of rows: in double.
template <class Real>
void embedding_backward(On<Cpu, Real>, const EmbeddingBackward<Real>& args) {
  const std::int64_t B = args.B, T = args.T, C = args.C, N = B * T;
  const std::int64_t blocks = (C + kColumns - 1) / kColumns;
  const RowsByToken sorted(args.tokens, N, args.V);
  const std::int64_t* begin = sorted.begin;
  const std::int64_t* order = sorted.order;

#pragma omp parallel for collapse(2) schedule(static) if (N * C >= kParallelElements)
  for (std::int64_t block = 0; block < blocks; ++block) {
    for (std::int64_t part = 0; part < 2; ++part) {
      const std::int64_t first = block * kColumns, width = std::min(kColumns, C - first);
      double sum[kColumns];
      const auto add_row = [&](std::int64_t n) {
        const Real* dout = args.dout + n * C + first;
#pragma omp simd
        for (std::int64_t c = 0; c < width; ++c) sum[c] += static_cast<double>(dout[c]);
      };
      const auto store = [&](param_t<Real>* gradient) {
        for (std::int64_t c = 0; c < width; ++c) {
          gradient[first + c] = static_cast<param_t<Real>>(gradient[first + c] + sum[c]);
        }
      };
      if (part == 0) {
        for (std::int64_t v = 0; v < args.V; ++v) {
          if (begin[v] == begin[v + 1]) continue;
          std::fill(sum, sum + kColumns, 0.0);
          for (std::int64_t i = begin[v]; i < begin[v + 1]; ++i) add_row(order[i]);
          store(args.dwte + v * C);
        }
      } else if (args.dwpe != nullptr) {
        for (std::int64_t t = 0; t < T; ++t) {
          std::fill(sum, sum + kColumns, 0.0);
          for (std::int64_t b = 0; b < B; ++b) add_row(b * T + t);
          store(args.dwpe + t * C);
        }
      }
    }
  }
}

MASQUE_INSTANTIATE(embedding_forward, EmbeddingForward)
MASQUE_INSTANTIATE(embedding_backward, EmbeddingBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
