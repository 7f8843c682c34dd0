// Arrays for tests of kernels: drawn, poisoned, compared.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/random.h"

namespace masque::test {

// Standard normals, times sd.
template <class Real>
std::vector<Real> normal_array(const std::string& name, std::int64_t count, double sd = 1) {
  const std::vector<double> drawn = normals(seed_of(name), count);
  std::vector<Real> array(drawn.size());
  for (std::size_t i = 0; i < drawn.size(); ++i) array[i] = static_cast<Real>(drawn[i] * sd);
  return array;
}

// NaN, so that an element that was not written shows.
template <class Real>
std::vector<Real> poisoned(std::int64_t count) {
  return std::vector<Real>(static_cast<std::size_t>(count),
                           static_cast<Real>(std::numeric_limits<float>::quiet_NaN()));
}

// ‖a − b‖ / max(‖b‖, 1e-300). NaN in either is NaN.
template <class A, class B>
double relative_error(const std::vector<A>& a, const std::vector<B>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-300);
}

template <class Value>
bool same_bits(const std::vector<Value>& a, const std::vector<Value>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Value)) == 0;
}

// Runs with that many OpenMP threads, then sets back what was.
template <class Function>
auto with_threads(int threads, const Function& function) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  auto result = function();
  omp_set_num_threads(before);
  return result;
}

// Whether what the function returns (a vector) is equal to the bit for 1, 2 and 4 threads.
template <class Function>
bool same_for_any_threads(const Function& function) {
  const auto alone = with_threads(1, function);
  return same_bits(alone, with_threads(2, function)) && same_bits(alone, with_threads(4, function));
}

// What f32 may differ from f64 by, norm-wise, over the few thousand operations of a test.
template <class Real>
constexpr double kTolerance = sizeof(Real) == 4 ? 2e-6 : 1e-13;

}  // namespace masque::test
