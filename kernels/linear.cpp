#include "kernels/linear.h"

#include <algorithm>
#include <memory>

#include "kernels/gemm.h"

namespace masque {
namespace {

constexpr std::int64_t kSumRows = 64;  // of dout that one task adds up for dbias

// dbias += the column sums of dout: partial sums of fixed blocks of rows, then added in order.
template <class Real>
void add_column_sums(param_t<Real>* dbias, const Real* dout, std::int64_t N, std::int64_t OC) {
  const std::int64_t blocks = (N + kSumRows - 1) / kSumRows;
  const auto partial = std::make_unique_for_overwrite<param_t<Real>[]>(blocks * OC);
#pragma omp parallel for schedule(static)
  for (std::int64_t block = 0; block < blocks; ++block) {
    param_t<Real>* sum = partial.get() + block * OC;
    std::fill_n(sum, OC, param_t<Real>{0});
    const std::int64_t end = std::min(N, (block + 1) * kSumRows);
    for (std::int64_t n = block * kSumRows; n < end; ++n) {
      const Real* row = dout + n * OC;
#pragma omp simd
      for (std::int64_t o = 0; o < OC; ++o) sum[o] += row[o];
    }
  }
  for (std::int64_t block = 0; block < blocks; ++block) {
    const param_t<Real>* sum = partial.get() + block * OC;
    for (std::int64_t o = 0; o < OC; ++o) dbias[o] += sum[o];
  }
}

}  // namespace

template <class Real>
void linear_forward(On<Cpu, Real>, const LinearForward<Real>& args) {
  gemm({.c = args.out,
        .a = args.x,
        .b = args.weight,
        .bias = args.bias,
        .transpose_b = true,
        .M = args.N,
        .N = args.OC,
        .K = args.IC});
}

template <class Real>
void linear_backward(On<Cpu, Real>, const LinearBackward<Real>& args) {
  if (args.dx) {  // dx = dout · weight
    gemm({.c = args.dx,
          .a = args.dout,
          .b = args.weight,
          .bias = nullptr,
          .M = args.N,
          .N = args.IC,
          .K = args.OC});
  }
  if (args.dweight) {  // dweight += doutᵀ · x
    gemm({.c = args.dweight,
          .a = args.dout,
          .b = args.x,
          .bias = nullptr,
          .transpose_a = true,
          .accumulate = true,
          .M = args.OC,
          .N = args.IC,
          .K = args.N});
  }
  if (args.dbias) add_column_sums(args.dbias, args.dout, args.N, args.OC);
}

template void linear_forward<float>(On<Cpu, float>, const LinearForward<float>&);
template void linear_forward<double>(On<Cpu, double>, const LinearForward<double>&);
template void linear_backward<float>(On<Cpu, float>, const LinearBackward<float>&);
template void linear_backward<double>(On<Cpu, double>, const LinearBackward<double>&);

}  // namespace masque
