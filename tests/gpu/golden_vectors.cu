#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/gpu.h"
#include "tests/gpu/golden_vectors.h"
#include "tests/support/device_array.h"
#include "tests/support/random.h"

namespace masque::test {
namespace {

constexpr int kWarps = 2;
constexpr int kLanes = 32 * kWarps;

// A warp a block. An Op says how many words a lane reads and writes, and what it does with them.
template <class Op>
__global__ void golden_kernel(const std::uint32_t* in, std::uint32_t* out) {
  const unsigned lane = blockIdx.x * kWarpSize + threadIdx.x;
  Op::run(in + lane * Op::kIn, out + lane * Op::kOut);
}

__device__ float as_float(std::uint32_t word) {
  return std::bit_cast<float>(word);
}
__device__ std::uint32_t as_word(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

struct Mma {
  static constexpr int kIn = 10, kOut = 4;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    const std::uint32_t a[4] = {in[0], in[1], in[2], in[3]}, b[2] = {in[4], in[5]};
    float d[4];
    for (int i = 0; i < 4; ++i) d[i] = as_float(in[6 + i]);
    mma_bf16(d, a, b);
    for (int i = 0; i < 4; ++i) out[i] = as_word(d[i]);
  }
};

// Each lane fills one of 32 rows of 16 bytes, and points at another.
template <int Count, bool Transposed>
struct LoadMatrix {
  static constexpr int kIn = 5, kOut = Count;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    GPU_SHARED(uint4, rows, [32]);
    rows[threadIdx.x] = uint4{in[0], in[1], in[2], in[3]};
    __syncthreads();
    std::uint32_t f[Count];
    load(f, &rows[in[4] % 32]);
    for (int i = 0; i < Count; ++i) out[i] = f[i];
  }
  __device__ static void load(std::uint32_t (&f)[Count], const void* row) {
    if constexpr (Count == 1 && !Transposed) ldmatrix_x1(f, row);
    if constexpr (Count == 2 && !Transposed) ldmatrix_x2(f, row);
    if constexpr (Count == 4 && !Transposed) ldmatrix_x4(f, row);
    if constexpr (Count == 1 && Transposed) ldmatrix_x1_trans(f, row);
    if constexpr (Count == 2 && Transposed) ldmatrix_x2_trans(f, row);
    if constexpr (Count == 4 && Transposed) ldmatrix_x4_trans(f, row);
  }
};

// Every width, by a few distances: within a group, at its edge, past it.
template <class Shuffle>
struct Shuffles {
  static constexpr int kDistances = 5, kWidths = 5;
  static constexpr int kIn = 1, kOut = kDistances * kWidths;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    const int distances[kDistances] = {0, 1, 3, 8, 21};
    for (int width = 32; width >= 2; width /= 2) {
      for (const int distance : distances) *out++ = Shuffle::of(in[0], distance, width);
    }
  }
};
struct ShuffleIndex {
  __device__ static std::uint32_t of(std::uint32_t value, int distance, int width) {
    const int source = static_cast<int>(threadIdx.x * 7 + static_cast<unsigned>(distance)) % 32;
    return __shfl_sync(kAllLanes, value, source, width);
  }
};
struct ShuffleXor {
  __device__ static std::uint32_t of(std::uint32_t value, int distance, int width) {
    return __shfl_xor_sync(kAllLanes, value, distance, width);
  }
};
struct ShuffleUp {
  __device__ static std::uint32_t of(std::uint32_t value, int distance, int width) {
    return __shfl_up_sync(kAllLanes, value, static_cast<unsigned>(distance), width);
  }
};
struct ShuffleDown {
  __device__ static std::uint32_t of(std::uint32_t value, int distance, int width) {
    return __shfl_down_sync(kAllLanes, value, static_cast<unsigned>(distance), width);
  }
};

// 8-byte values, floats, and a warp of which the lower half alone takes part.
struct OtherShuffles {
  static constexpr int kIn = 2, kOut = 4;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    const double wide = std::bit_cast<double>(std::uint64_t{in[1] & 0x7fefffffu} << 32 | in[0]);
    const auto word = std::bit_cast<std::uint64_t>(__shfl_up_sync(kAllLanes, wide, 5));
    out[0] = static_cast<std::uint32_t>(word);
    out[1] = static_cast<std::uint32_t>(word >> 32);
    out[2] = as_word(__shfl_xor_sync(kAllLanes, static_cast<float>(in[0]), 9));
    out[3] = 0;
    if (threadIdx.x < 16) out[3] = __shfl_down_sync(0xffffu, in[0], 3, 8);
  }
};

struct Votes {
  static constexpr int kIn = 1, kOut = 7;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    const int odd = static_cast<int>(in[0] & 1), some = in[0] % 64 == 0, most = in[0] % 64 != 0;
    out[0] = __ballot_sync(kAllLanes, odd);
    out[1] = __any_sync(kAllLanes, some) != 0;
    out[2] = __all_sync(kAllLanes, most) != 0;
    out[3] = __any_sync(kAllLanes, 0) != 0;
    out[4] = __all_sync(kAllLanes, 1) != 0;
    out[5] = out[6] = 0;
    if (threadIdx.x >= 8 && threadIdx.x < 24) {
      out[5] = __ballot_sync(0x00ffff00u, odd);
      out[6] = __all_sync(0x00ffff00u, most) != 0;
    }
  }
};

// Two groups of copies, valid or not by a coin: what is there after each wait, from one's own copy
// and, behind a barrier, from a neighbour's.
struct CopyAsync {
  static constexpr int kIn = 12, kOut = 12;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    GPU_SHARED(uint4, first, [32]);
    GPU_SHARED(uint4, second, [32]);
    const unsigned lane = threadIdx.x;
    first[lane] = second[lane] = uint4{0xdeadbeefu, 0xdeadbeefu, 0xdeadbeefu, 0xdeadbeefu};
    __syncthreads();
    copy_async16(&first[lane], in);
    commit_copies();
    copy_async16(&second[lane], in + 4, in[8] % 2 == 0);
    commit_copies();
    wait_copies<1>();
    store_as<uint4>(out, first[lane]);
    wait_copies<0>();
    store_as<uint4>(out + 4, second[lane]);
    __syncthreads();
    store_as<uint4>(out + 8, second[lane ^ 1]);
  }
};

struct Integers {
  static constexpr int kIn = 2, kOut = 3;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    out[0] = static_cast<std::uint32_t>(__popc(in[0]));
    out[1] = static_cast<std::uint32_t>(__ffs(static_cast<int>(in[0] & in[1] << 16)));
    out[2] = __umulhi(in[0], in[1]);
  }
};

// What is left when all lanes are done: the order is not defined.
struct Atomics {
  static constexpr int kIn = 1, kOut = 4;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    GPU_SHARED(unsigned, sums, [2]);
    GPU_SHARED(int, extremes, [2]);
    if (threadIdx.x == 0) {
      sums[0] = sums[1] = 0;
      extremes[0] = extremes[1] = 0;
    }
    __syncthreads();
    atomicAdd(&sums[0], in[0]);
    atomicCAS(&sums[1], 0u, 77u);
    atomicMin(&extremes[0], static_cast<int>(in[0]));
    atomicMax(&extremes[1], static_cast<int>(in[0]));
    __syncthreads();
    out[0] = sums[0];
    out[1] = sums[1];
    out[2] = static_cast<std::uint32_t>(extremes[0]);
    out[3] = static_cast<std::uint32_t>(extremes[1]);
  }
};

struct PackRounded {
  static constexpr int kIn = 2, kOut = 2;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    out[0] = pack_rounded(as_float(in[0]), as_float(in[1]));
    out[1] = pack(bf16(as_float(in[1])), bf16(as_float(in[0])));
  }
};

constexpr int kValues = 4;  // a lane

template <class Function>
struct Elementwise {
  static constexpr int kIn = kValues, kOut = kValues;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    for (int i = 0; i < kValues; ++i) out[i] = as_word(Function::of(as_float(in[i])));
  }
};
struct Exp2Approx {
  __device__ static float of(float x) { return exp2_approx(x); }
};
struct FastExp {
  __device__ static float of(float x) { return __expf(x); }
};
struct Exp {
  __device__ static float of(float x) { return expf(x); }
};
struct Log {
  __device__ static float of(float x) { return logf(x); }
};
struct Rsqrt {
  __device__ static float of(float x) { return rsqrtf(x); }
};
struct Sqrt {
  __device__ static float of(float x) { return sqrtf(x); }
};
struct Reciprocal {
  __device__ static float of(float x) { return 1.0f / x; }
};
struct SinPi {
  __device__ static float of(float x) {
    float sine, cosine;
    sincospif(x, &sine, &cosine);
    return sine;
  }
};
struct CosPi {
  __device__ static float of(float x) {
    float sine, cosine;
    sincospif(x, &sine, &cosine);
    return cosine;
  }
};

struct Fma {
  static constexpr int kIn = 3, kOut = 2;
  __device__ static void run(const std::uint32_t* in, std::uint32_t* out) {
    const float a = as_float(in[0]), b = as_float(in[1]), c = as_float(in[2]);
    out[0] = as_word(fmaf(a, b, c));
    out[1] = as_word(fmaxf(a, fminf(b, c)));
  }
};

using Words = std::vector<std::uint32_t>;

template <class Op>
Words run(cudaStream_t stream, const Words& in) {
  const DeviceArray<std::uint32_t> device_in(in);
  const DeviceArray<std::uint32_t> out(static_cast<std::size_t>(kLanes * Op::kOut));
  launch({"golden", kWarps, kWarpSize}, stream, golden_kernel<Op>,
         static_cast<const std::uint32_t*>(device_in.data()), out.data());
  return out.read();
}

Words random_words(const std::string& name, std::int64_t a_lane) {
  constexpr std::int32_t kHalf = 0xffff;
  const auto low = integers(seed_of(name + "/low"), a_lane * kLanes, 0, kHalf);
  const auto high = integers(seed_of(name + "/high"), a_lane * kLanes, 0, kHalf);
  Words words(low.size());
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = static_cast<std::uint32_t>(low[i]) | static_cast<std::uint32_t>(high[i]) << 16;
  }
  return words;
}

// Uniform in low … high, both included, after the values named first.
Words floats(const std::string& name, float low, float high, const std::vector<float>& named = {}) {
  Words words = random_words(name, kValues);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const float drawn = low + (high - low) * (static_cast<float>(words[i]) / 4294967296.0f);
    words[i] = std::bit_cast<std::uint32_t>(i < named.size() ? named[i] : drawn);
  }
  return words;
}

// bf16 in pairs, then f32 for d: small integers, whose sums are exact in any order, or numbers in
// −1 … 1.
Words mma_operands(const std::string& name, bool exact) {
  Words words = random_words(name, Mma::kIn);
  const auto value = [&](std::uint32_t bits) {
    if (exact) return static_cast<float>(static_cast<int>(bits % 33) - 16);
    return static_cast<float>(static_cast<int>(bits % 65536) - 32768) / 32768.0f;
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = i % Mma::kIn < 6 ? pack(bf16(value(words[i] & 0xffff)), bf16(value(words[i] >> 16)))
                                : std::bit_cast<std::uint32_t>(value(words[i]));
  }
  return words;
}

// Ties, both ways; the largest; infinities; NaN of both kinds; subnormal numbers; both zeros.
Words rounding_operands() {
  Words words = random_words("pack_rounded", PackRounded::kIn);
  const std::vector<std::uint32_t> special = {0x3f808000u, 0x3f818000u, 0x3f808001u, 0x7f7fffffu,
                                              0xff7fffffu, 0x7f7f7fffu, 0x7f800000u, 0xff800000u,
                                              0x7fc00000u, 0xff812345u, 0x00000001u, 0x80008000u,
                                              0x00018000u, 0x00000000u, 0x80000000u, 0x007fffffu};
  std::copy(special.begin(), special.end(), words.begin());
  return words;
}

// c is −a·b but for a rounding, so that only a product that is not rounded leaves the right rest.
Words fma_operands() {
  const Words a = floats("fma/a", -4, 4), b = floats("fma/b", -4, 4);
  Words words;
  for (std::size_t i = 0; i < std::size_t{kLanes}; ++i) {
    const float product = std::bit_cast<float>(a[i]) * std::bit_cast<float>(b[i]);
    words.insert(words.end(), {a[i], b[i], std::bit_cast<std::uint32_t>(-product)});
  }
  return words;
}

}  // namespace

std::vector<GoldenVector> golden_vectors(cudaStream_t stream) {
  std::vector<GoldenVector> all;
  const auto add = [&](const std::string& name, Match match, double limit, Words words) {
    all.push_back({name, match, limit, std::move(words)});
  };
  const auto add_bits = [&](const std::string& name, Words words) {
    add(name, Match::bits, 0, std::move(words));
  };
  // 16 products of at most 1 and d: 17 roundings or cuts of an aligned sum at 2^−22 each.
  constexpr double kMmaError = 17 * 0x1p-22;
  add_bits("mma_bf16_exact", run<Mma>(stream, mma_operands("mma_exact", true)));
  add("mma_bf16", Match::absolute, kMmaError, run<Mma>(stream, mma_operands("mma", false)));
  const Words rows = random_words("ldmatrix", 5);
  add_bits("ldmatrix_x1", run<LoadMatrix<1, false>>(stream, rows));
  add_bits("ldmatrix_x2", run<LoadMatrix<2, false>>(stream, rows));
  add_bits("ldmatrix_x4", run<LoadMatrix<4, false>>(stream, rows));
  add_bits("ldmatrix_x1_trans", run<LoadMatrix<1, true>>(stream, rows));
  add_bits("ldmatrix_x2_trans", run<LoadMatrix<2, true>>(stream, rows));
  add_bits("ldmatrix_x4_trans", run<LoadMatrix<4, true>>(stream, rows));
  const Words values = random_words("shuffles", 1);
  add_bits("shfl_sync", run<Shuffles<ShuffleIndex>>(stream, values));
  add_bits("shfl_xor_sync", run<Shuffles<ShuffleXor>>(stream, values));
  add_bits("shfl_up_sync", run<Shuffles<ShuffleUp>>(stream, values));
  add_bits("shfl_down_sync", run<Shuffles<ShuffleDown>>(stream, values));
  add_bits("other_shuffles", run<OtherShuffles>(stream, random_words("other shuffles", 2)));
  add_bits("votes", run<Votes>(stream, random_words("votes", 1)));
  add_bits("copy_async16", run<CopyAsync>(stream, random_words("copy_async16", CopyAsync::kIn)));
  add_bits("integers", run<Integers>(stream, random_words("integers", 2)));
  add_bits("atomics", run<Atomics>(stream, random_words("atomics", 1)));
  add("pack_rounded", Match::bf16, 0, run<PackRounded>(stream, rounding_operands()));
  add_bits("fma_max_min", run<Fma>(stream, fma_operands()));
  // Errors as the CUDA programming guide lists them, and 1 ulp for the host's own functions.
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> ends = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -0.5f};
  add("exp2_approx", Match::ulps, 2 + 1,
      run<Elementwise<Exp2Approx>>(stream, floats("exp2", -140, 127,
                                                  {0.0f, -0.0f, 1.0f, -126.0f, -127.0f, -149.0f,
                                                   -1e30f, -infinity, 128.0f})));
  add("__expf_near_0", Match::ulps, 3 + 1,
      run<Elementwise<FastExp>>(stream, floats("__expf", -1, 1, ends)));
  add("__expf", Match::ulps, 2 + 102 + 1,
      run<Elementwise<FastExp>>(stream, floats("__expf", -87, 0, {-1e30f, -infinity, -87.0f})));
  add("expf", Match::ulps, 1 + 1,
      run<Elementwise<Exp>>(stream, floats("expf", -100, 88, {0.0f, -infinity, infinity, -1e30f})));
  add("logf", Match::ulps, 1 + 1,
      run<Elementwise<Log>>(stream, floats("logf", 1, 60000, {1.0f, infinity, 0.0f, 3e38f})));
  add("rsqrtf", Match::ulps, 2 + 1,
      run<Elementwise<Rsqrt>>(stream, floats("rsqrtf", 0, 100, {1.0f, 4.0f, 1e-5f, infinity})));
  add_bits("sqrtf", run<Elementwise<Sqrt>>(stream, floats("sqrtf", 0, 1000, {0.0f, infinity})));
  add_bits("reciprocal", run<Elementwise<Reciprocal>>(stream, floats("reciprocal", 1, 3, ends)));
  // 1 ulp of numbers near 1, on either side: at a quarter turn the host's sine is 6e-17, not 0.
  constexpr double kSineError = 2 * 0x1p-24;
  add("sinpif", Match::absolute, kSineError,
      run<Elementwise<SinPi>>(stream, floats("sincospif", -300, 300, ends)));
  add("cospif", Match::absolute, kSineError,
      run<Elementwise<CosPi>>(stream, floats("sincospif", -300, 300, ends)));
  return all;
}

}  // namespace masque::test
