// What attention in bf16 promises: to be about as exact as the op composed of plain products in
// bf16, whichever kernels take it.
#include <algorithm>
#include <array>
#include <cmath>

#include "tests/gpu/attention_runs.h"

namespace masque::test {
namespace {

constexpr int kSeeds = 5;
constexpr double kOutputs = 1.1, kGradients = 1.5;  // times the error of the composed op

// Row i of part 0, 1 or 2 (q, k, v) of one head.
struct Head {
  std::int64_t b, head;
};
const bf16* part_row(const Case& at, const std::vector<bf16>& qkv, const Head& of, int part,
                     std::int64_t i) {
  return qkv.data() + (((of.b * at.T + i) * 3 + part) * at.NH + of.head) * at.HS;
}
std::int64_t out_row(const Case& at, const Head& of, std::int64_t i) {
  return ((of.b * at.T + i) * at.NH + of.head) * at.HS;
}

float product(const bf16* a, const bf16* b, std::int64_t count) {
  float sum = 0;
  for (std::int64_t d = 0; d < count; ++d)
    sum += static_cast<float>(a[d]) * static_cast<float>(b[d]);
  return sum;
}

// sum += weight · row.
void add_row(std::vector<float>& sum, std::int64_t first, float weight, const bf16* row,
             std::int64_t count) {
  for (std::int64_t d = 0; d < count; ++d) {
    sum[static_cast<std::size_t>(first + d)] += weight * static_cast<float>(row[d]);
  }
}

std::vector<bf16> rounded(const std::vector<float>& values) {
  std::vector<bf16> result;
  for (const float value : values) result.push_back(bf16(value));
  return result;
}

// The op as five tensors would hold it: scores, weights, out; dweights, dscores. Each is rounded to
// bf16; products sum in f32, and so does the softmax. No dropout.
Result<bf16> composed(const Case& at, const Inputs<bf16>& in) {
  const auto count = static_cast<std::size_t>(at.B * at.T * at.NH * at.HS);
  const float scale = 1 / std::sqrt(static_cast<float>(at.HS));
  std::vector<float> out(count), dqkv(3 * count);
  for (std::int64_t task = 0; task < at.B * at.NH; ++task) {
    const Head of{task / at.NH, task % at.NH};
    const std::int64_t length = length_of(at, of.b);
    const auto row = [&](int part, std::int64_t i) { return part_row(at, in.qkv, of, part, i); };
    const auto dfirst = [&](int part, std::int64_t i) { return row(part, i) - in.qkv.data(); };
    for (std::int64_t i = 0; i < length; ++i) {
      const std::int64_t visible = at.causal ? i + 1 : length, first = out_row(at, of, i);
      const bf16* dout = in.dout.data() + first;
      std::vector<bf16> weights, dweights;
      float largest = -INFINITY, sum = 0, delta = 0;
      for (std::int64_t j = 0; j < visible; ++j) {
        weights.push_back(bf16(scale * product(row(0, i), row(1, j), at.HS)));
        largest = std::max(largest, static_cast<float>(weights.back()));
      }
      for (const bf16 score : weights) sum += std::exp(static_cast<float>(score) - largest);
      for (bf16& weight : weights) {
        weight = bf16(std::exp(static_cast<float>(weight) - largest) / sum);
      }
      for (std::int64_t j = 0; j < visible; ++j) {
        const auto weight = static_cast<float>(weights[static_cast<std::size_t>(j)]);
        add_row(out, first, weight, row(2, j), at.HS);
        dweights.push_back(bf16(product(dout, row(2, j), at.HS)));
        delta += weight * static_cast<float>(dweights.back());
      }
      for (std::int64_t j = 0; j < visible; ++j) {
        const auto weight = static_cast<float>(weights[static_cast<std::size_t>(j)]);
        const auto dweight = static_cast<float>(dweights[static_cast<std::size_t>(j)]);
        const float dscore = scale * static_cast<float>(bf16(weight * (dweight - delta)));
        add_row(dqkv, dfirst(0, i), dscore, row(1, j), at.HS);
        add_row(dqkv, dfirst(1, j), dscore, row(0, i), at.HS);
        add_row(dqkv, dfirst(2, j), weight, dout, at.HS);
      }
    }
  }
  return {rounded(out), {}, rounded(dqkv)};
}

// q's, k's or v's columns of (B,T,3,NH,HS).
template <class Value>
std::vector<Value> part_of(const Case& at, const std::vector<Value>& qkv, int part) {
  const auto width = static_cast<std::size_t>(at.NH * at.HS);
  std::vector<Value> result;
  for (std::size_t row = static_cast<std::size_t>(part); row < qkv.size() / width; row += 3) {
    const auto first = qkv.begin() + static_cast<std::ptrdiff_t>(row * width);
    result.insert(result.end(), first, first + static_cast<std::ptrdiff_t>(width));
  }
  return result;
}

// Of out, dq, dk and dv.
using Errors = std::array<double, 4>;

Errors errors_of(const Case& at, const Result<bf16>& got, const Result<double>& exact) {
  Errors errors{relative_error(got.out, exact.out)};
  for (int part = 0; part < 3; ++part) {
    errors[static_cast<std::size_t>(part) + 1] =
        relative_error(part_of(at, got.dqkv, part), part_of(at, exact.dqkv, part));
  }
  return errors;
}

double median(const std::vector<Errors>& runs, std::size_t tensor) {
  std::vector<double> sorted;
  for (const Errors& errors : runs) sorted.push_back(errors[tensor]);
  std::sort(sorted.begin(), sorted.end());
  return sorted[sorted.size() / 2];
}

void check(const Case& at, Path path) {
  std::vector<Errors> ours, plain;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const auto in = inputs_of<bf16>(at, "attention " + std::to_string(seed));
    const Result<double> exact = reference(at, in);
    ours.push_back(errors_of(at, run(at, in, path), exact));
    plain.push_back(errors_of(at, composed(at, in), exact));
  }
  const char* const names[] = {"out", "dq", "dk", "dv"};
  for (std::size_t tensor = 0; tensor < 4; ++tensor) {
    CAPTURE(at.T, at.HS, at.causal, names[tensor], median(plain, tensor));
    CHECK(median(ours, tensor) <= (tensor == 0 ? kOutputs : kGradients) * median(plain, tensor));
  }
}

}  // namespace

TEST_CASE("attention in bf16 is as exact as its plain products: short sequences", "[gpu]") {
  check({1, 131, 1, 64}, Path::short_);
  check({2, 70, 1, 64, true, {70, 40}}, Path::short_);
}

TEST_CASE("attention in bf16 is as exact as its plain products: tiles", "[gpu]") {
  for (const std::int64_t HS : {32, 64, 96, 128}) {
    check({1, 37, 1, HS}, Path::tiled);
    check({1, 70, 1, HS, true}, Path::tiled);
  }
}

}  // namespace masque::test
