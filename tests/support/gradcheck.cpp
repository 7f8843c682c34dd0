#include "tests/support/gradcheck.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <utility>

#include "core/threads.h"
#include "tests/support/random.h"

namespace masque::test {
namespace {

constexpr std::int64_t kLargestElementwise = 1500;  // beyond: random directions
constexpr std::int64_t kDirections = 20;
constexpr double kStep = 1e-3;  // of an operand's standard deviation

using Values = std::vector<double>;

double norm(const Values& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

double relative_error(const Values& left, const Values& right) {
  Values difference(left.size());
  for (std::size_t index = 0; index < left.size(); ++index) {
    difference[index] = left[index] - right[index];
  }
  return norm(difference) / std::max({norm(left), norm(right), 1e-8});
}

double count_different(const Values& left, const Values& right) {
  double count = left.size() == right.size() ? 0 : 1;
  for (std::size_t index = 0; index < std::min(left.size(), right.size()); ++index) {
    if (!(left[index] == right[index])) ++count;
  }
  return count;
}

// A line through the point at which a gradient was taken: one element of an operand, or all of it
// along random normals.
struct Line {
  std::size_t operand;
  std::int64_t element;    // -1: along a direction
  std::int64_t direction;  // which, where element is -1
};

Values direction_of(const OpRun::Operand& operand, const Line& line) {
  if (line.element < 0) {
    return normals(seed_of(operand.name) + static_cast<std::uint64_t>(line.direction),
                   static_cast<std::int64_t>(operand.values.size()));
  }
  Values unit(operand.values.size(), 0.0);
  unit[static_cast<std::size_t>(line.element)] = 1;
  return unit;
}

// The outputs with the operand at `values`, where it stood before restored afterwards.
std::vector<Values> outputs_at(OpRun& run, OpRun::Operand& operand, const Values& direction,
                               double distance) {
  const Values here = operand.values;
  for (std::size_t index = 0; index < here.size(); ++index) {
    operand.values[index] += distance * direction[index];
  }
  run.forward();
  operand.values = here;
  std::vector<Values> outputs;
  for (const OpRun::Output& output : run.outputs()) {
    if (output.factors != nullptr) outputs.push_back(output.values);
  }
  return outputs;
}

// Σ factors·(out(distance) − out(−distance)): the outputs that did not move cancel exactly.
double difference_across(OpRun& run, OpRun::Operand& operand, const Values& direction,
                         double distance) {
  const std::vector<Values> ahead = outputs_at(run, operand, direction, distance);
  const std::vector<Values> behind = outputs_at(run, operand, direction, -distance);
  double sum = 0;
  std::size_t which = 0;
  for (const OpRun::Output& output : run.outputs()) {
    if (output.factors == nullptr) continue;
    for (std::size_t index = 0; index < output.factors->size(); ++index) {
      sum += (*output.factors)[index] * (ahead[which][index] - behind[which][index]);
    }
    ++which;
  }
  return sum;
}

// f′(0) ≈ (8(f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h, in error by h⁴f⁽⁵⁾/30.
double derivative_along(OpRun& run, const Line& line) {
  OpRun::Operand& operand = run.operands()[line.operand];
  const Values direction = direction_of(operand, line);
  double step = kStep * operand.scale;
  // A direction moves n elements: were all of them felt at once the step would be 1/√n of one
  // element's, were each felt alone the same.
  if (line.element < 0) step /= std::pow(static_cast<double>(direction.size()), 0.25);
  const double near = difference_across(run, operand, direction, step);
  const double far = difference_across(run, operand, direction, 2 * step);
  return (8 * near - far) / (12 * step);
}

// One run a thread: inside the region an op's own loops run on one thread.
Values derivatives_along(const OpCase& op, const std::vector<Line>& lines) {
  Values derivatives(lines.size());
  std::atomic<std::size_t> next = 0;
  std::exception_ptr failure;
#pragma omp parallel
  {
    try {
      OpRun run(op, On<Cpu, double>{});
      run.forward();
      for (std::size_t index = next++; index < lines.size(); index = next++) {
        derivatives[index] = derivative_along(run, lines[index]);
      }
    } catch (...) {
#pragma omp critical
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
  return derivatives;
}

using Tensors = std::vector<std::pair<std::string, Values>>;

struct Result {
  Tensors outputs, gradients;
};

// f32 values rounded to bf16 where the tensor they stand for holds nothing finer.
Values rounded_once(Values values, const Values& found) {
  const auto is_bf16 = [](double value) { return value == bf16(static_cast<float>(value)); };
  if (!std::all_of(found.begin(), found.end(), is_bf16)) return values;
  for (double& value : values) value = bf16(static_cast<float>(value));
  return values;
}

Result results_of(const OpCase& op, const Device& device, Tape::Mode mode = Tape::Mode::training,
                  DType operands = DType::f32) {
  OpRun run(op, device, operands);
  run.forward(mode);
  Result result;
  for (const OpRun::Output& output : run.outputs()) {
    result.outputs.emplace_back(output.name, output.values);
  }
  if (mode == Tape::Mode::inference) return result;
  run.backward(false);
  for (const OpRun::Operand& operand : run.operands()) {
    if (operand.grad.data == nullptr) continue;
    result.gradients.emplace_back("d" + operand.name, run.gradient(operand));
  }
  return result;
}

double count_different(const Result& left, const Result& right, bool gradients) {
  double count = 0;
  for (std::size_t index = 0; index < left.outputs.size(); ++index) {
    count += count_different(left.outputs[index].second, right.outputs.at(index).second);
  }
  if (!gradients) return count;
  for (std::size_t index = 0; index < left.gradients.size(); ++index) {
    count += count_different(left.gradients[index].second, right.gradients.at(index).second);
  }
  return count;
}

void append(std::vector<Finding>& findings, std::vector<Finding> more) {
  findings.insert(findings.end(), more.begin(), more.end());
}

}  // namespace

std::vector<Finding> check_gradient(const OpCase& op) {
  OpRun run(op, On<Cpu, double>{});
  run.forward();
  const auto counts = [](const OpRun::Output& output) { return output.factors != nullptr; };
  if (std::none_of(run.outputs().begin(), run.outputs().end(), counts)) return {};
  run.backward(true);

  std::vector<Line> lines;
  for (std::size_t index = 0; index < run.operands().size(); ++index) {
    const OpRun::Operand& operand = run.operands()[index];
    if (operand.grad.data == nullptr) continue;
    const auto count = static_cast<std::int64_t>(operand.values.size());
    if (count <= kLargestElementwise && !op.along_directions) {
      for (std::int64_t element = 0; element < count; ++element)
        lines.push_back({index, element, 0});
    } else {
      for (std::int64_t which = 0; which < kDirections; ++which)
        lines.push_back({index, -1, which});
    }
  }
  const Values derivatives = derivatives_along(op, lines);

  std::vector<Finding> findings;
  for (std::size_t index = 0; index < run.operands().size(); ++index) {
    const OpRun::Operand& operand = run.operands()[index];
    if (operand.grad.data == nullptr) continue;
    const Values gradient = run.gradient(operand);
    Values analytic, numeric;
    for (std::size_t which = 0; which < lines.size(); ++which) {
      if (lines[which].operand != index) continue;
      const Values direction = direction_of(operand, lines[which]);
      double projected = 0;
      for (std::size_t element = 0; element < gradient.size(); ++element) {
        projected += gradient[element] * direction[element];
      }
      analytic.push_back(projected);
      numeric.push_back(derivatives[which]);
    }
    findings.push_back({op.name, op.variant, "gradient", operand.name,
                        relative_error(analytic, numeric), kGradientLimit});
  }
  return findings;
}

std::vector<Finding> check_accuracy(const OpCase& op, const Device& device) {
  const DType dtype = activation_dtype(device);
  const bool half = dtype == DType::bf16;
  const auto run_on = [&](const Device& on) {
    return results_of(op, on, Tape::Mode::training, dtype);
  };
  const Result exact = run_on(On<Cpu, double>{}), got = run_on(device);
  const Result single = half ? run_on(On<Cpu, float>{}) : Result{};
  std::vector<Finding> findings;
  const auto compare = [&](const Tensors& expected, const Tensors& found, const Tensors& once,
                           double slack) {
    for (std::size_t index = 0; index < expected.size(); ++index) {
      const Values& values = expected[index].second;
      double limit = op.f32_limit;
      if (half && op.bf16_limit > 0) {
        limit = op.bf16_limit;
      } else if (half) {
        const Values best = rounded_once(once.at(index).second, found.at(index).second);
        limit = std::max(limit, slack * relative_error(best, values));
      }
      findings.push_back({op.name, op.variant, name_of(dtype), expected[index].first,
                          relative_error(found.at(index).second, values), limit});
    }
  };
  compare(exact.outputs, got.outputs, single.outputs, op.bf16_slack);
  compare(exact.gradients, got.gradients, single.gradients, 1.5 * op.bf16_slack);
  return findings;
}

Finding check_same_bits(const OpCase& op, const Device& device, int runs,
                        const std::function<void(int run)>& prepare) {
  prepare(0);
  const Result first = results_of(op, device);
  double different = 0;
  for (int run = 1; run < runs; ++run) {
    prepare(run);
    different += count_different(first, results_of(op, device), true);
  }
  return {op.name, op.variant, "bits", name_of(activation_dtype(device)), different, 0};
}

std::vector<Finding> check_bits(const OpCase& op) {
  std::vector<Finding> findings;
  const int threads = omp_get_max_threads();
  for (const Device& device :
       {Device{On<Cpu, float>{}}, Device{On<Cpu, bf16>{}}, Device{On<Cpu, double>{}}}) {
    constexpr int kThreads[] = {1, 1, 2, 3};
    findings.push_back(
        check_same_bits(op, device, 4, [&](int run) { set_threads(kThreads[run]); }));
    set_threads(threads);
    if (op.same_without_tape) {
      findings.back().error += count_different(results_of(op, device, Tape::Mode::inference),
                                               results_of(op, device), false);
    }
  }
  return findings;
}

std::vector<Finding> check_mask(const OpCase& op) {
  if (!op.dependence) return {};
  OpRun run(op, On<Cpu, double>{});
  run.forward();
  const std::vector<OpRun::Output> before = run.outputs();
  const auto found = std::find_if(
      run.operands().begin(), run.operands().end(),
      [&](const OpRun::Operand& operand) { return operand.name == op.dependence->input; });
  OpRun::Operand& moved = *found;
  const std::int64_t B = moved.tensor.shape[0], T = moved.tensor.shape[1];
  const auto positions = static_cast<std::size_t>(B * T);
  const Values here = moved.values;
  const std::size_t width = here.size() / positions;
  const Values move = normals(seed_of("move"), static_cast<std::int64_t>(width));

  double wrong = 0;
  for (std::size_t from = 0; from < positions; ++from) {
    for (std::size_t index = 0; index < width; ++index)
      moved.values[from * width + index] += move[index];
    run.forward();
    moved.values = here;
    for (std::size_t which = 0; which < before.size(); ++which) {
      const Values& old_values = before[which].values;
      const Values& new_values = run.outputs()[which].values;
      const std::size_t out_width = old_values.size() / positions;
      for (std::size_t to = 0; to < positions; ++to) {
        const auto begin = static_cast<std::ptrdiff_t>(to * out_width);
        const bool same =
            std::equal(old_values.begin() + begin,
                       old_values.begin() + begin + static_cast<std::ptrdiff_t>(out_width),
                       new_values.begin() + begin);
        const auto row = static_cast<std::int64_t>(to) / T;
        const bool reaches = row == static_cast<std::int64_t>(from) / T &&
                             op.dependence->reaches(row, static_cast<std::int64_t>(to) % T,
                                                    static_cast<std::int64_t>(from) % T);
        if (same == reaches) ++wrong;
      }
    }
  }
  return {{op.name, op.variant, "mask", moved.name, wrong, 0}};
}

std::vector<Finding> check_all(const OpCase& op) {
  std::vector<Finding> findings = check_gradient(op);
  append(findings, check_accuracy(op, On<Cpu, float>{}));
  append(findings, check_accuracy(op, On<Cpu, bf16>{}));
  append(findings, check_bits(op));
  append(findings, check_mask(op));
  return findings;
}

}  // namespace masque::test
