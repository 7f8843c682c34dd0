// What every kernel knows: where it runs (On<Device, Real>), in which types, and how it fails.
// A kernel is overloaded on On<…>; a missing overload is a compile or link error, never a run-time
// one.
#pragma once

#include <stdexcept>
#include <string>
#include <type_traits>

struct CUstream_st;  // CUDA's: a cudaStream_t points to one

namespace masque {

struct Cpu {};
struct Cuda {};

// A place and an activation type. Passed by value as a kernel's first argument.
template <class Device, class Real>
struct On {
  using device = Device;
  using real = Real;
};

// On a GPU kernels run later, in the order of their stream.
template <class Real>
struct On<Cuda, Real> {
  using device = Cuda;
  using real = Real;
  CUstream_st* stream = nullptr;
};

// Master weights, gradients and optimizer state: float, or double where activations are double.
template <class Real>
using param_t = std::conditional_t<std::is_same_v<Real, double>, double, float>;

// Row statistics (mean, rstd, log-sum-exp), losses and loss weights.
template <class Real>
using stat_t = std::conditional_t<std::is_same_v<Real, double>, double, float>;

// A failure while running: one line saying what, its value and the mend. Exit code 1.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

// Bad usage or bad input from outside (flags, files, configurations). Exit code 2.
class InputError : public Error {
 public:
  using Error::Error;
};

}  // namespace masque
