#include "kernels/linear.h"

#include <algorithm>

#include "kernels/gemm.h"
#include "kernels/level.h"
#include "kernels/scratch.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr std::int64_t kSumRows = 64;  // of dout that one task adds up for dbias

// dbias += the column sums of dout: partial sums of fixed blocks of rows, then added in order.
template <class Real>
void add_column_sums(param_t<Real>* dbias, const Real* dout, std::int64_t N, std::int64_t OC) {
  const std::int64_t blocks = (N + kSumRows - 1) / kSumRows;
  param_t<Real>* const partial = scratch_of<param_t<Real>>(Scratch::sums, blocks * OC);
#pragma omp parallel for schedule(static)
  for (std::int64_t block = 0; block < blocks; ++block) {
    param_t<Real>* sum = partial + block * OC;
    std::fill_n(sum, OC, param_t<Real>{0});
    const std::int64_t end = std::min(N, (block + 1) * kSumRows);
    for (std::int64_t n = block * kSumRows; n < end; ++n) {
      const Real* row = dout + n * OC;
#pragma omp simd
      for (std::int64_t o = 0; o < OC; ++o) sum[o] += row[o];
    }
  }
  for (std::int64_t block = 0; block < blocks; ++block) {
    const param_t<Real>* sum = partial + block * OC;
    for (std::int64_t o = 0; o < OC; ++o) dbias[o] += sum[o];
  }
}

}  // namespace

template <class Real>
void linear_forward(On<Cpu, Real> on, const LinearForward<Real>& args) {
  Gemm<Real> product{.a = args.x, .b = args.weight, .M = args.N, .N = args.OC, .K = args.IC};
  product.c = args.out;
  product.bias = args.bias;
  product.transpose_b = true;
  gemm(on, product);
}

template <class Real>
void linear_backward(On<Cpu, Real> on, const LinearBackward<Real>& args) {
  if (args.dx) {  // dx = dout · weight
    Gemm<Real> product{.a = args.dout, .b = args.weight, .M = args.N, .N = args.IC, .K = args.OC};
    product.c = args.dx;
    gemm(on, product);
  }
  if (args.dweight) {  // dweight += doutᵀ · x
    Gemm<Real> product{.a = args.dout, .b = args.x, .M = args.OC, .N = args.IC, .K = args.N};
    product.wide = args.dweight;
    product.transpose_a = true;
    product.accumulate = true;
    gemm(on, product);
  }
  if (args.dbias) add_column_sums(args.dbias, args.dout, args.N, args.OC);
}

MASQUE_INSTANTIATE(linear_forward, LinearForward)
MASQUE_INSTANTIATE(linear_backward, LinearBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
