// The kernels that are compiled once an instruction set: each of them picks its level when called.
#include <type_traits>

#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/attention_decode.h"
#include "kernels/cpu_level.h"
#include "kernels/embedding.h"
#include "kernels/gelu.h"
#include "kernels/gemm.h"
#include "kernels/global_norm.h"
#include "kernels/level.h"
#include "kernels/linear.h"
#include "kernels/masked_cross_entropy.h"
#include "kernels/residual_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"

#if MASQUE_HAS_AVX2
#define AVX2(...) __VA_ARGS__
#else
#define AVX2(...)
#endif
#if MASQUE_HAS_AVX512
#define AVX512(...) __VA_ARGS__
#else
#define AVX512(...)
#endif
#if MASQUE_HAS_AVX512_BF16
#define AVX512_BF16(...) __VA_ARGS__
#else
#define AVX512_BF16(...)
#endif
#if MASQUE_HAS_AMX
#define AMX(...) __VA_ARGS__
#else
#define AMX(...)
#endif

// PARAMETERS and ARGUMENTS: what follows `on`, in parentheses, so that they are one macro argument.
#define UNWRAP(...) __VA_ARGS__
#define AT(level, name, parameters)            \
  namespace level {                            \
  template <class Real>                        \
  void name(On<Cpu, Real>, UNWRAP parameters); \
  }
#define DEFINE(name, parameters, arguments, wider)                                            \
  AT(portable, name, parameters)                                                              \
  AVX2(AT(avx2, name, parameters))                                                            \
  AVX512(AT(avx512, name, parameters))                                                        \
  template <class Real>                                                                       \
  void name(On<Cpu, Real> on, UNWRAP parameters) {                                            \
    [[maybe_unused]] const CpuLevel level = cpu_level();                                      \
    if constexpr (!std::is_same_v<Real, double>) {                                            \
      wider AVX512(if (level >= CpuLevel::avx512) return avx512::name(on, UNWRAP arguments);) \
    }                                                                                         \
    AVX2(if (level >= CpuLevel::avx2) return avx2::name(on, UNWRAP arguments);)               \
    portable::name(on, UNWRAP arguments);                                                     \
  }

#define KERNEL(name, Args)                         \
  DEFINE(name, (const Args<Real>& args), (args), ) \
  MASQUE_INSTANTIATE(name, Args)
// CPUs with products of bf16 round to it by an instruction too; only products of matrices need more
// than that.
#define ROUNDING_KERNEL(name, Args)                                                            \
  AVX512_BF16(AT(avx512_bf16, name, (const Args<Real>& args)))                                 \
  DEFINE(name, (const Args<Real>& args), (args),                                               \
         AVX512_BF16(if (level >= CpuLevel::avx512_bf16) return avx512_bf16::name(on, args);)) \
  MASQUE_INSTANTIATE(name, Args)
#define ROUNDING_PAIR_KERNEL(name, First, Second)                                               \
  AVX512_BF16(AT(avx512_bf16, name, (const First<Real>& first, const Second<Real>& second)))    \
  DEFINE(name, (const First<Real>& first, const Second<Real>& second), (first, second),         \
         AVX512_BF16(                                                                           \
             if (level >= CpuLevel::avx512_bf16) return avx512_bf16::name(on, first, second);)) \
  MASQUE_INSTANTIATE_PAIR(name, First, Second)
#define PRODUCT_KERNEL(name, Args)                                                                 \
  AVX512_BF16(AT(avx512_bf16, name, (const Args<Real>& args)))                                     \
  AMX(AT(amx, name, (const Args<Real>& args)))                                                     \
  DEFINE(name, (const Args<Real>& args), (args),                                                   \
         AMX(if (level >= CpuLevel::amx) return amx::name(on, args);)                              \
             AVX512_BF16(if (level >= CpuLevel::avx512_bf16) return avx512_bf16::name(on, args);)) \
  MASQUE_INSTANTIATE(name, Args)

namespace masque {

KERNEL(adamw, AdamW)
ROUNDING_KERNEL(attention_decode, AttentionDecode)
KERNEL(embedding_backward, EmbeddingBackward)
KERNEL(embedding_forward, EmbeddingForward)
ROUNDING_KERNEL(gelu_backward, GeluBackward)
ROUNDING_KERNEL(gelu_forward, GeluForward)
KERNEL(global_norm, GlobalNorm)
KERNEL(linear_backward, LinearBackward)
KERNEL(linear_forward, LinearForward)
KERNEL(masked_cross_entropy, MaskedCrossEntropy)
ROUNDING_KERNEL(residual_dropout_backward, ResidualDropoutBackward)
ROUNDING_KERNEL(residual_dropout_forward, ResidualDropoutForward)
ROUNDING_PAIR_KERNEL(residual_layernorm_backward, LayernormBackward, ResidualDropoutBackward)
ROUNDING_PAIR_KERNEL(residual_layernorm_forward, ResidualDropoutForward, LayernormForward)
ROUNDING_PAIR_KERNEL(residual_rmsnorm_backward, RmsnormBackward, ResidualDropoutBackward)
ROUNDING_PAIR_KERNEL(residual_rmsnorm_forward, ResidualDropoutForward, RmsnormForward)
ROUNDING_KERNEL(rope_backward, Rope)
ROUNDING_KERNEL(rope_forward, Rope)
ROUNDING_KERNEL(swiglu_backward, SwigluBackward)
ROUNDING_KERNEL(swiglu_forward, SwigluForward)
PRODUCT_KERNEL(attention_backward, AttentionBackward)
PRODUCT_KERNEL(attention_forward, AttentionForward)
PRODUCT_KERNEL(gemm, Gemm)

}  // namespace masque
