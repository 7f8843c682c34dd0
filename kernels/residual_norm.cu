#include <algorithm>

#include "kernels/residual_dropout.cuh"
#include "kernels/residual_norm.h"
#include "kernels/row_share.cuh"

// One kernel each way for both norms: an rmsnorm is a layernorm around 0, without mean and bias
// (kCentred is false).
namespace masque {
namespace {

// add.out null: there is nothing to add, and x is read.
template <class Share, bool kCentred, class Real>
__global__ void __launch_bounds__(kRowBlock)
    residual_norm_forward_kernel(ResidualDropoutForward<Real> add, DropoutPlan plan,
                                 LayernormForward<Real> norm) {
  constexpr int kWidth = Share::kWidth;
  const std::int64_t n = std::int64_t{blockIdx.x} * Share::kRows + Share::row();
  if (n >= norm.N) return;
  const std::int64_t C = norm.C, first = n * C;
  const DropoutDraw dropout(plan, first);

  Elements<Real, kWidth> held[Share::kPieces];
  float sum = 0;
  Share::each(C, [&](int piece, std::int64_t c) {
    const std::int64_t at = first + c;
    Elements<Real, kWidth>& x = held[piece];
    if (add.out == nullptr) {
      x = load_elements<kWidth>(norm.x + at);
    } else {
      auto stream = elements_as<float>(load_elements<kWidth>(add.branch + at));
      dropout.apply(c, stream.values);
      if (add.residual != nullptr) add_elements(stream, load_elements<kWidth>(add.residual + at));
      x = elements_as<Real>(stream);
      store_elements(add.out + at, x);
    }
    for (int i = 0; i < kWidth; ++i) sum += x[i];
  });
  const auto x_at = [&](int piece, std::int64_t c) {
    return Share::kHolds ? held[piece] : load_elements<kWidth>(norm.x + first + c);
  };

  const float mean = kCentred ? Share::sum(sum) / C : 0;
  float squares = 0;
  Share::each(C, [&](int piece, std::int64_t c) {
    const auto x = x_at(piece, c);
    for (int i = 0; i < kWidth; ++i) squares += (x[i] - mean) * (x[i] - mean);
  });
  const float rstd = 1.0f / sqrtf(Share::sum(squares) / C + static_cast<float>(norm.eps));

  Share::each(C, [&](int piece, std::int64_t c) {
    const auto x = x_at(piece, c);
    const auto weight = load_elements<kWidth>(norm.weight + c);
    Elements<float, kWidth> out;
    for (int i = 0; i < kWidth; ++i) out[i] = (x[i] - mean) * rstd * weight[i];
    if (kCentred && norm.bias != nullptr) add_elements(out, load_elements<kWidth>(norm.bias + c));
    store_elements(norm.out + first + c, elements_as<Real>(out));
  });
  if (Share::thread() == 0) {
    if (kCentred) norm.mean[n] = mean;
    norm.rstd[n] = rstd;
  }
}

// One thread's pieces of a row.
template <class Real, int Width>
struct BackwardPiece {
  Elements<Real, Width> x, dout, dresidual;
};

// Blocks that fit on a multiprocessor in the backward: by its registers, 65,536.
template <class Share>
constexpr int kResident = Share::kHeld <= 8    ? 3
                          : Share::kHeld <= 16 ? 2
                                               : 1;

// Blocks stay and walk the rows. Each leaves its sums for dweight and dbias in parts
// (blocks, {weight, bias}, C), without bias where not kCentred. add.dbranch null: dx is all.
template <class Share, bool kCentred, class Real>
__global__ void __launch_bounds__(kRowBlock, kResident<Share>)
    residual_norm_backward_kernel(LayernormBackward<Real> norm, ResidualDropoutBackward<Real> add,
                                  DropoutPlan plan, float* parts) {
  constexpr int kWidth = Share::kWidth, kSums = kCentred ? 2 : 1;
  using Piece = BackwardPiece<Real, kWidth>;
  const std::int64_t C = norm.C;
  float* const part = parts + std::int64_t{blockIdx.x} * kSums * C;

  Elements<float, kWidth> sums[kSums][Share::kPieces] = {};
  if constexpr (!Share::kHolds) {
    Share::each(kSums * C, [&](int, std::int64_t c) { part[c] = 0; });
    __syncthreads();
  }

  for (std::int64_t n = std::int64_t{blockIdx.x} * Share::kRows + Share::row(); n < norm.N;
       n += std::int64_t{gridDim.x} * Share::kRows) {
    const std::int64_t first = n * C;
    const float mean = kCentred ? norm.mean[n] : 0, rstd = norm.rstd[n];
    const auto load = [&](std::int64_t c) {
      Piece of{load_elements<kWidth>(norm.x + first + c),
               load_elements<kWidth>(norm.dout + first + c),
               {}};
      if (norm.dresidual != nullptr) {
        of.dresidual = load_elements<kWidth>(norm.dresidual + first + c);
      }
      return of;
    };
    Piece held[Share::kPieces];
    float sum = 0, dot = 0;
    Share::each(C, [&](int piece, std::int64_t c) {
      held[piece] = load(c);
      const auto& [x, dout, dresidual] = held[piece];
      const auto weight = load_elements<kWidth>(norm.weight + c);
      for (int i = 0; i < kWidth; ++i) {
        const float normed = (x[i] - mean) * rstd, gradient = dout[i] * weight[i];
        sum += gradient;
        dot += gradient * normed;
        const float terms[2] = {dout[i] * normed, dout[i]};
        for (int which = 0; which < kSums; ++which) {
          (Share::kHolds ? sums[which][piece][i] : part[which * C + c]) += terms[which];
        }
      }
    });
    sum = kCentred ? Share::sum(sum) / C : 0;
    dot = Share::sum(dot) / C;

    const DropoutDraw dropout(plan, first);
    Share::each(C, [&](int piece, std::int64_t c) {
      const std::int64_t at = first + c;
      const auto [x, dout, dresidual] = Share::kHolds ? held[piece] : load(c);
      const auto weight = load_elements<kWidth>(norm.weight + c);
      Elements<float, kWidth> gradient;
      for (int i = 0; i < kWidth; ++i) {
        gradient[i] = (dout[i] * weight[i] - sum - (x[i] - mean) * rstd * dot) * rstd;
      }
      add_elements(gradient, dresidual);
      const auto dx = elements_as<Real>(gradient);
      store_elements(norm.dx + at, dx);
      if (add.dbranch == nullptr) return;
      gradient = elements_as<float>(dx);
      dropout.apply(c, gradient.values);
      store_elements(add.dbranch + at, elements_as<Real>(gradient));
    });
  }

  if constexpr (Share::kHolds) {
    // Handed from row to row of the block, each adding its own; the last one's are the part.
    SharedPieces pieces;
    float* const shared = Share::kRows > 1 ? pieces.take<float>(kSums * C) : nullptr;
    for (int row = 0; row < Share::kRows; ++row) {
      if (row > 0) __syncthreads();
      if (row != Share::row()) continue;
      float* const handed = row + 1 < Share::kRows ? shared : part;
      for (int which = 0; which < kSums; ++which) {
        Share::each(C, [&](int piece, std::int64_t c) {
          const std::int64_t at = which * C + c;
          auto& total = sums[which][piece];
          if (row > 0) add_elements(total, load_elements<kWidth>(shared + at));
          store_elements(handed + at, total);
        });
      }
    }
  }
}

constexpr int kColumns = 32, kMostLanes = 32;  // of a block below

// dweight and dbias (or null) += Σ over parts (count, sums): each lane's share, then the lanes.
__global__ void __launch_bounds__(kColumns* kMostLanes)
    add_parts_kernel(const float* parts, unsigned count, std::int64_t sums, std::int64_t C,
                     float* dweight, float* dbias) {
  GPU_SHARED(float, shares, [kMostLanes][kColumns]);
  const unsigned lane = threadIdx.y, lanes = blockDim.y, column = threadIdx.x;
  const std::int64_t at = std::int64_t{blockIdx.x} * kColumns + column;
  float sum = 0;
  for (unsigned part = lane; at < sums && part < count; part += lanes) {
    sum += parts[part * sums + at];
  }
  shares[lane][column] = sum;
  __syncthreads();
  float* const gradient = at < C ? dweight : dbias;
  if (lane > 0 || at >= sums || gradient == nullptr) return;
  for (unsigned other = 1; other < lanes; ++other) sum += shares[other][column];
  gradient[at < C ? at : at - C] += sum;
}

template <bool kCentred, class Real>
void forward(On<Cuda, Real> on, ResidualDropoutForward<Real> add,
             const LayernormForward<Real>& norm) {
  const DropoutPlan plan = dropout_plan(add);
  if (add.p == 0 && add.residual == nullptr && add.out == add.branch) add = {};
  const bool packs = packs_fit<Real>(norm.C, add.out, add.residual, add.branch, norm.out, norm.x,
                                     norm.weight, norm.bias);
  with_row_share<Real>(norm.C, packs, [&](auto share) {
    using Share = decltype(share);
    launch({"residual_norm_forward", blocks_for(norm.N, Share::kRows), kRowBlock}, on.stream,
           residual_norm_forward_kernel<Share, kCentred, Real>, add, plan, norm);
  });
}

template <bool kCentred, class Real>
void backward(On<Cuda, Real> on, const LayernormBackward<Real>& norm,
              ResidualDropoutBackward<Real> add) {
  const DropoutPlan plan = dropout_plan(add);
  if (add.p == 0 && add.dbranch == add.dout) add = {};
  const bool packs =
      packs_fit<Real>(norm.C, norm.dx, norm.dout, norm.dresidual, norm.x, norm.weight, add.dbranch);
  const std::int64_t sums = (kCentred ? 2 : 1) * norm.C;
  with_row_share<Real>(norm.C, packs, [&](auto share) {
    using Share = decltype(share);
    const auto resident = static_cast<unsigned>(gpu_limits().multiprocessors * kResident<Share>);
    const unsigned blocks = std::min<unsigned>(blocks_for(norm.N, Share::kRows), resident);
    const std::size_t bytes = static_cast<std::size_t>(sums) * sizeof(float);  // of a part
    auto* const parts = static_cast<float*>(gpu_scratch(on.stream, blocks * bytes));
    launch({"residual_norm_backward", blocks, kRowBlock, Share::kRows > 1 ? shared_room(bytes) : 0},
           on.stream, residual_norm_backward_kernel<Share, kCentred, Real>, norm, add, plan, parts);
    launch({"add_parts",
            blocks_for(sums, kColumns),
            {kColumns, std::min<unsigned>(blocks, kMostLanes)}},
           on.stream, add_parts_kernel, parts, blocks, sums, norm.C, norm.dweight, norm.dbias);
  });
}

}  // namespace

template <class Real>
void residual_layernorm_forward(On<Cuda, Real> on, const ResidualDropoutForward<Real>& add,
                                const LayernormForward<Real>& norm) {
  forward<true>(on, add, norm);
}

template <class Real>
void residual_layernorm_backward(On<Cuda, Real> on, const LayernormBackward<Real>& norm,
                                 const ResidualDropoutBackward<Real>& add) {
  backward<true>(on, norm, add);
}

template <class Real>
void residual_rmsnorm_forward(On<Cuda, Real> on, const ResidualDropoutForward<Real>& add,
                              const RmsnormForward<Real>& norm) {
  forward<false>(on, add,
                 LayernormForward<Real>{.out = norm.out,
                                        .mean = nullptr,
                                        .rstd = norm.rstd,
                                        .x = norm.x,
                                        .weight = norm.weight,
                                        .bias = nullptr,
                                        .eps = norm.eps,
                                        .N = norm.N,
                                        .C = norm.C});
}

template <class Real>
void residual_rmsnorm_backward(On<Cuda, Real> on, const RmsnormBackward<Real>& norm,
                               const ResidualDropoutBackward<Real>& add) {
  backward<false>(on,
                  LayernormBackward<Real>{.dx = norm.dx,
                                          .dweight = norm.dweight,
                                          .dbias = nullptr,
                                          .dout = norm.dout,
                                          .dresidual = norm.dresidual,
                                          .x = norm.x,
                                          .mean = nullptr,
                                          .rstd = norm.rstd,
                                          .weight = norm.weight,
                                          .N = norm.N,
                                          .C = norm.C},
                  add);
}

template void residual_layernorm_forward(On<Cuda, float>, const ResidualDropoutForward<float>&,
                                         const LayernormForward<float>&);
template void residual_layernorm_forward(On<Cuda, bf16>, const ResidualDropoutForward<bf16>&,
                                         const LayernormForward<bf16>&);
template void residual_layernorm_backward(On<Cuda, float>, const LayernormBackward<float>&,
                                          const ResidualDropoutBackward<float>&);
template void residual_layernorm_backward(On<Cuda, bf16>, const LayernormBackward<bf16>&,
                                          const ResidualDropoutBackward<bf16>&);
template void residual_rmsnorm_forward(On<Cuda, float>, const ResidualDropoutForward<float>&,
                                       const RmsnormForward<float>&);
template void residual_rmsnorm_forward(On<Cuda, bf16>, const ResidualDropoutForward<bf16>&,
                                       const RmsnormForward<bf16>&);
template void residual_rmsnorm_backward(On<Cuda, float>, const RmsnormBackward<float>&,
                                        const ResidualDropoutBackward<float>&);
template void residual_rmsnorm_backward(On<Cuda, bf16>, const RmsnormBackward<bf16>&,
                                        const ResidualDropoutBackward<bf16>&);

}  // namespace masque
