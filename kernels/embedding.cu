#include <algorithm>
#include <utility>

#include "kernels/elements.cuh"
#include "kernels/embedding.h"
#include "kernels/reduce.cuh"

namespace masque {
namespace {

constexpr int kThreads = 256;

// Width elements a thread.
template <int Width, class Real>
__global__ void __launch_bounds__(kThreads) embedding_forward_kernel(EmbeddingForward<Real> args) {
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * Width;
  if (first >= args.B * args.T * args.C) return;
  const std::int64_t n = first / args.C, c = first - n * args.C;
  auto out = load_elements<Width>(args.wte + args.tokens[n] * args.C + c);
  if (args.wpe != nullptr) {
    const std::int64_t position = args.first_position + n % args.T;
    const auto added = load_elements<Width>(args.wpe + position * args.C + c);
    for (int i = 0; i < Width; ++i) out[i] = static_cast<Real>(out[i] + added[i]);
  }
  store_elements(args.out + first, out);
}

// The backward adds rows of dout to rows of a table. It lists the rows by the place they go to
// (for dwte after a radix sort of the tokens, for dwpe by arithmetic) and cuts the list into chunks
// of kChunk rows, so that a token in half of all rows costs no more than many rare ones. A sum that
// spans chunks belongs to the one where it begins; the others leave their parts in scratch.

// Row `row` of dout goes to row `place` of the table.
struct alignas(8) Entry {
  std::int32_t place, row;
};

constexpr int kSortRows = 256;  // a warp of the sort, up to kSortWarps of them
constexpr int kSortWarps = 32;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kChunk = 32;
constexpr int kBatch = 4;   // rows that a thread reads at once
constexpr int kSlices = 8;  // of a long sum

// One digit of the tokens, lowest first, keeping the order within it. A block moves one digit's
// rows to behind those of lower digits; each of its warps looks at a share of the list, twice.
// before: null in the first pass, where the list is the rows in order.
__global__ void __launch_bounds__(32 * kSortWarps)
    embedding_sort_kernel(Entry* after, const Entry* before, const std::int32_t* tokens,
                          std::int32_t N, int shift) {
  GPU_SHARED(int, lower, [kSortWarps]);
  GPU_SHARED(int, equal, [kSortWarps]);
  const int warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int own = blockIdx.x;
  const std::int64_t share = std::int64_t{blocks_for(N, blockDim.x)} * 32;
  const std::int64_t begin = warp * share, end = std::min<std::int64_t>(begin + share, N);
  const auto entry_at = [&](std::int64_t i) {
    return before != nullptr ? before[i] : Entry{tokens[i], static_cast<std::int32_t>(i)};
  };
  const auto digit_of = [&](const Entry& entry) { return entry.place >> shift & (kDigits - 1); };

  int lower_here = 0, equal_here = 0;
  for (std::int64_t i = begin + lane; i < end; i += 32) {
    const int digit = digit_of(entry_at(i));
    lower_here += digit < own;
    equal_here += digit == own;
  }
  lower_here = warp_sum(lower_here);
  equal_here = warp_sum(equal_here);
  if (lane == 0) {
    lower[warp] = lower_here;
    equal[warp] = equal_here;
  }
  __syncthreads();
  std::int64_t to = 0;
  for (int other = 0; other < warps; ++other) {
    to += lower[other] + (other < warp ? equal[other] : 0);
  }

  for (std::int64_t first = begin; first < end; first += 32) {
    const std::int64_t i = first + lane;
    const Entry entry = i < end ? entry_at(i) : Entry{};
    const bool mine = i < end && digit_of(entry) == own;
    const unsigned votes = __ballot_sync(kAllLanes, mine);
    if (mine) after[to + __popc(votes & ((1u << lane) - 1))] = entry;
    to += __popc(votes);
  }
}

struct Tables {
  float* dwte;
  float* dwpe;          // or null
  const Entry* sorted;  // (N) by token
  float* carried;       // (2,chunks,C) a chunk's part of a sum that began in an earlier one
  std::int64_t B, T, C, N, chunks;

  __device__ float* table(unsigned which) const { return which == 0 ? dwte : dwpe; }
  // Number i of the list of a table, by place.
  __device__ Entry entry(unsigned which, std::int64_t i) const {
    if (which == 0) return sorted[i];
    const auto t = static_cast<std::int32_t>(i / B), b = static_cast<std::int32_t>(i - t * B);
    return {t, static_cast<std::int32_t>(b * T + t)};
  }
  // Whether a chunk begins within a sum.
  __device__ bool continues(unsigned which, std::int64_t chunk) const {
    const std::int64_t first = chunk * kChunk;
    return chunk > 0 && chunk < chunks &&
           entry(which, first - 1).place == entry(which, first).place;
  }
};

template <int Width>
__device__ __forceinline__ void add_to(float* address, const double (&sum)[Width]) {
  auto total = load_elements<Width>(address);
  for (int i = 0; i < Width; ++i) total[i] = static_cast<float>(total[i] + sum[i]);
  store_elements(address, total);
}

// Width columns of a chunk a thread. blockIdx.y: which table.
template <int Width, class Real>
__global__ void __launch_bounds__(kThreads)
    embedding_backward_kernel(Tables tables, const Real* dout) {
  const unsigned which = blockIdx.y;
  const std::int64_t index = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t shares = tables.C / Width, chunk = index / shares;
  if (chunk >= tables.chunks) return;
  const std::int64_t c = (index - chunk * shares) * Width;
  const std::int64_t first = chunk * kChunk;
  const std::int64_t end = std::min(first + kChunk, tables.N);

  double sum[Width] = {};
  std::int32_t place = tables.entry(which, first).place;
  bool carried = tables.continues(which, chunk);
  const auto finish = [&] {
    if (carried) {
      float* address = tables.carried + (which * tables.chunks + chunk) * tables.C + c;
      Elements<float, Width> part;
      for (int i = 0; i < Width; ++i) part[i] = static_cast<float>(sum[i]);
      store_elements(address, part);
    } else {
      add_to(tables.table(which) + place * tables.C + c, sum);
    }
  };
  for (std::int64_t batch = first; batch < end; batch += kBatch) {
    std::int32_t places[kBatch];
    Elements<Real, Width> rows[kBatch];
    GPU_UNROLL
    for (int j = 0; j < kBatch; ++j) {
      if (batch + j >= end) continue;
      const Entry entry = tables.entry(which, batch + j);
      places[j] = entry.place;
      rows[j] = load_elements<Width>(dout + entry.row * tables.C + c);
    }
    GPU_UNROLL
    for (int j = 0; j < kBatch; ++j) {
      if (batch + j >= end) continue;
      if (places[j] != place) {
        finish();
        place = places[j];
        carried = false;
        for (int i = 0; i < Width; ++i) sum[i] = 0;
      }
      for (int i = 0; i < Width; ++i) sum[i] += rows[j][i];
    }
  }
  finish();
}

// Adds the parts of later chunks to the sum that begins in chunk blockIdx.x of table blockIdx.y,
// for 32·Width columns. Slice s takes parts s, s + kSlices, …
template <int Width>
__global__ void __launch_bounds__(32 * kSlices) embedding_carried_kernel(Tables tables) {
  GPU_SHARED(double, parts, [kSlices][32][Width]);
  const unsigned which = blockIdx.y, lane = threadIdx.x % 32, slice = threadIdx.x / 32;
  const std::int64_t chunk = blockIdx.x, next = chunk + 1;
  if (!tables.continues(which, next)) return;
  const std::int32_t place = tables.entry(which, next * kChunk).place;
  if (tables.continues(which, chunk) && tables.entry(which, chunk * kChunk).place == place) return;

  const auto same = [&](std::int64_t other) {
    return other < tables.chunks && tables.entry(which, other * kChunk).place == place;
  };
  int count = 0;
  for (std::int64_t other = next + threadIdx.x; same(other); other += 32 * kSlices) ++count;
  count = block_sum<32 * kSlices>(count);

  const std::int64_t c = (std::int64_t{blockIdx.z} * 32 + lane) * Width;
  const bool inside = c < tables.C;
  double sum[Width] = {};
  if (inside) {
    const float* carried = tables.carried + (which * tables.chunks + next) * tables.C + c;
    for (std::int64_t i = slice; i < count; i += kSlices) {
      const auto part = load_elements<Width>(carried + i * tables.C);
      for (int j = 0; j < Width; ++j) sum[j] += part[j];
    }
  }
  for (int j = 0; j < Width; ++j) parts[slice][lane][j] = sum[j];
  __syncthreads();
  if (slice > 0 || !inside) return;
  for (int other = 1; other < kSlices; ++other) {
    for (int j = 0; j < Width; ++j) sum[j] += parts[other][lane][j];
  }
  add_to(tables.table(which) + place * tables.C + c, sum);
}

template <int Width, class Real>
void launch_forward(On<Cuda, Real> on, const EmbeddingForward<Real>& args) {
  const std::int64_t elements = args.B * args.T * args.C;
  launch({"embedding_forward", blocks_for(elements, kThreads * Width), kThreads}, on.stream,
         embedding_forward_kernel<Width, Real>, args);
}

// Returns the rows by token, in one of the two lists.
template <class Real>
const Entry* launch_sort(On<Cuda, Real> on, const EmbeddingBackward<Real>& args, Entry* list,
                         Entry* other_list) {
  const auto N = static_cast<std::int32_t>(args.B * args.T);
  const std::int64_t last = args.V - 1;
  const unsigned warps = std::min<unsigned>(blocks_for(N, kSortRows), kSortWarps);
  const Entry* before = nullptr;
  for (int shift = 0; shift == 0 || last >> shift > 0; shift += kDigitBits) {
    const auto digits = static_cast<unsigned>(std::min<std::int64_t>((last >> shift) + 1, kDigits));
    launch({"embedding_sort", digits, 32 * warps}, on.stream, embedding_sort_kernel, list, before,
           args.tokens, N, shift);
    before = list;
    std::swap(list, other_list);
  }
  return before;
}

template <int Width, class Real>
void launch_backward(On<Cuda, Real> on, const EmbeddingBackward<Real>& args) {
  const std::int64_t C = args.C, N = args.B * args.T, chunks = blocks_for(N, kChunk);
  const unsigned count = args.dwpe == nullptr ? 1 : 2;
  const std::size_t list_bytes = 2 * N * sizeof(Entry);
  const std::size_t carried_bytes = count * chunks * C * sizeof(float);
  auto* lists = static_cast<Entry*>(gpu_scratch(on.stream, list_bytes + carried_bytes));
  const Tables tables{.dwte = args.dwte,
                      .dwpe = args.dwpe,
                      .sorted = launch_sort(on, args, lists, lists + N),
                      .carried = reinterpret_cast<float*>(lists + 2 * N),
                      .B = args.B,
                      .T = args.T,
                      .C = C,
                      .N = N,
                      .chunks = chunks};
  launch({"embedding_backward", {blocks_for(chunks * (C / Width), kThreads), count}, kThreads},
         on.stream, embedding_backward_kernel<Width, Real>, tables, args.dout);
  launch({"embedding_carried",
          {static_cast<unsigned>(chunks), count, blocks_for(C, 32 * Width)},
          32 * kSlices},
         on.stream, embedding_carried_kernel<Width>, tables);
}

}  // namespace

template <class Real>
void embedding_forward(On<Cuda, Real> on, const EmbeddingForward<Real>& args) {
  if (packs_fit<Real>(args.C, args.out, args.wte, args.wpe)) {
    launch_forward<kPack<Real>>(on, args);
  } else {
    launch_forward<1>(on, args);
  }
}

template <class Real>
void embedding_backward(On<Cuda, Real> on, const EmbeddingBackward<Real>& args) {
  if (packs_fit<Real>(args.C, args.dwte, args.dwpe, args.dout)) {
    launch_backward<kPack<Real>>(on, args);
  } else {
    launch_backward<1>(on, args);
  }
}

template void embedding_forward(On<Cuda, float>, const EmbeddingForward<float>&);
template void embedding_forward(On<Cuda, bf16>, const EmbeddingForward<bf16>&);
template void embedding_backward(On<Cuda, float>, const EmbeddingBackward<float>&);
template void embedding_backward(On<Cuda, bf16>, const EmbeddingBackward<bf16>&);

}  // namespace masque
