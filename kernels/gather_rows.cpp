#include "kernels/gather_rows.h"

#include <algorithm>

#include "kernels/bf16.h"
#include "kernels/row_chunks.h"

namespace masque {

template <class Real>
void gather_rows(On<Cpu, Real>, const GatherRows<Real>& args) {
  const std::int64_t K = args.K, C = args.C;
#pragma omp parallel for schedule(static) if (K * C >= kParallelElements)
  for (std::int64_t k = 0; k < K; ++k) {
    std::copy_n(args.x + args.rows[k] * C, C, args.out + k * C);
  }
}

template void gather_rows(On<Cpu, float>, const GatherRows<float>&);
template void gather_rows(On<Cpu, bf16>, const GatherRows<bf16>&);
template void gather_rows(On<Cpu, double>, const GatherRows<double>&);

}  // namespace masque
