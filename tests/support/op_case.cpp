#include "tests/support/op_case.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "tests/support/random.h"

namespace masque::test {
namespace {

constexpr double kMove = 0.2;                        // of a model's parameters, in adopt()
constexpr std::size_t kTimedPeriod = (1 << 20) + 7;  // of the numbers of a case to be timed

std::vector<OpCase>& registered() {
  static std::vector<OpCase> cases;
  return cases;
}

template <class Type>
std::vector<double> read_as(const Device& device, const Tensor& tensor) {
  std::vector<Type> host(static_cast<std::size_t>(tensor.shape.count()));
  copy_to_host(device, host.data(), tensor.data, host.size() * sizeof(Type));
  return {host.begin(), host.end()};
}

template <class Type>
void write_as(const Device& device, const Tensor& tensor, const std::vector<double>& values) {
  std::vector<Type> host(values.size());
  std::transform(values.begin(), values.end(), host.begin(),
                 [](double value) { return static_cast<Type>(value); });
  copy_to_device(device, tensor.data, host.data(), host.size() * sizeof(Type));
}

double rounded(double value, DType dtype) {
  const auto single = static_cast<float>(value);
  return dtype == DType::bf16 ? static_cast<float>(bf16(single)) : single;
}

// Normals keyed by a name. Drawing a hundred million would take longer than what they are for.
std::vector<double> drawn(const OpCase& op, const std::string& key, const Shape& shape) {
  const auto count = static_cast<std::size_t>(shape.count());
  const std::size_t period = op.benchmark ? std::min(count, kTimedPeriod) : count;
  std::vector<double> values = normals(seed_of(key), static_cast<std::int64_t>(period));
  values.reserve(count);
  while (values.size() < count) values.push_back(values[values.size() - period]);
  return values;
}

Tensor grad_of(const Tensor& tensor) {
  return {tensor.shape, tensor.dtype, tensor.grad, nullptr, -1};
}

}  // namespace

std::vector<double> read(const Device& device, const Tensor& tensor) {
  switch (tensor.dtype) {
    case DType::f32:
      return read_as<float>(device, tensor);
    case DType::f64:
      return read_as<double>(device, tensor);
    case DType::bf16:
      return read_as<bf16>(device, tensor);
    case DType::i32:
      return read_as<std::int32_t>(device, tensor);
  }
  throw Error("read: unknown type");
}

void write(const Device& device, const Tensor& tensor, const std::vector<double>& values) {
  CHECK(static_cast<std::int64_t>(values.size()) == tensor.shape.count(),
        "write: {} values into a tensor {}", values.size(), tensor.shape);
  switch (tensor.dtype) {
    case DType::f32:
      return write_as<float>(device, tensor, values);
    case DType::f64:
      return write_as<double>(device, tensor, values);
    case DType::bf16:
      return write_as<bf16>(device, tensor, values);
    case DType::i32:
      return write_as<std::int32_t>(device, tensor, values);
  }
}

OpCase timed(OpCase op) {
  op.benchmark = true;
  return op;
}

OpCase timed_on_gpu(OpCase op) {
  op.fills_gpu = true;
  return timed(std::move(op));
}

Registration::Registration(const std::vector<OpCase>& cases) {
  registered().insert(registered().end(), cases.begin(), cases.end());
}

const std::vector<OpCase>& all_cases() {
  static const std::vector<OpCase> sorted = [] {
    std::vector<OpCase> cases = registered();
    std::stable_sort(cases.begin(), cases.end(), [](const OpCase& left, const OpCase& right) {
      return left.name < right.name;
    });
    return cases;
  }();
  return sorted;
}

OpRun::OpRun(const OpCase& op, const Device& device, DType operands)
    : op_(op),
      device_(device),
      rounding_(operands),
      arena_(device, "test"),
      device_state_(device, sizeof(StepState), "step state") {
  state_.seed = seed_of(op.name);
  state_.step = 5;
  state_.first_row = 3;
}

StepState* OpRun::state() {
  copy_to_device(device_, device_state_.data(), &state_, sizeof(StepState));
  start_clock();
  return reinterpret_cast<StepState*>(device_state_.data());
}

StepState OpRun::read_state() {
  stop_clock();
  StepState state;
  copy_to_host(device_, &state, device_state_.data(), sizeof(StepState));
  return state;
}

OpRun::Operand& OpRun::find_or_add(const std::string& name) {
  for (Operand& operand : operands_) {
    if (operand.name == name) return operand;
  }
  operands_.emplace_back().name = name;
  return operands_.back();
}

OpRun::Operand& OpRun::find_or_draw(const std::string& name, const Shape& shape, Draw draw) {
  Operand& operand = find_or_add(name);
  if (!operand.values.empty()) return operand;
  operand.scale = draw.sd;
  operand.values = drawn(op_, op_.name + "/" + name, shape);
  for (double& value : operand.values) value = rounded(draw.mean + draw.sd * value, rounding_);
  return operand;
}

Tensor OpRun::input(const std::string& name, const Shape& shape, Draw draw) {
  Operand& operand = find_or_draw(name, shape, draw);
  operand.tensor = tape_->activation(shape);
  operand.grad = grad_of(operand.tensor);
  write(device_, operand.tensor, operand.values);
  start_clock();
  return operand.tensor;
}

Parameter& OpRun::parameter(const std::string& name, const Shape& shape, Draw draw) {
  Operand& operand = find_or_draw(name, shape, draw);
  if (operand.store == nullptr) {
    operand.store = std::make_unique<ParameterStore>(device_);
    operand.store->add(name, shape, shape.rank() == 2);
    operand.store->allocate();
    operand.before = drawn(op_, name + "/before", shape);
  }
  Parameter& parameter = operand.store->parameters().front();
  operand.tensor = parameter.master;
  operand.grad = parameter.grad;
  operand.store->write(parameter, operand.values);
  start_clock();
  return parameter;
}

Tensor OpRun::buffer(const std::string& name, const Shape& shape, Draw draw) {
  const Operand& operand = find_or_draw(name, shape, draw);
  const Tensor tensor = tape_->statistic(shape);
  write(device_, tensor, operand.values);
  start_clock();
  return tensor;
}

Tensor OpRun::buffer(const Shape& shape, const std::vector<double>& values) {
  const Tensor tensor = tape_->statistic(shape);
  write(device_, tensor, values);
  start_clock();
  return tensor;
}

Tensor OpRun::integers(const Shape& shape, const std::vector<std::int32_t>& values) {
  const Tensor tensor = arena_.allocate(shape, DType::i32);
  write(device_, tensor, {values.begin(), values.end()});
  start_clock();
  return tensor;
}

const std::uint8_t* OpRun::bytes(const std::vector<std::uint8_t>& values) {
  void* memory = arena_.allocate_bytes(values.size());
  copy_to_device(device_, memory, values.data(), values.size());
  start_clock();
  return static_cast<const std::uint8_t*>(memory);
}

double* OpRun::loss() {
  const Tensor tensor = arena_.allocate({1}, DType::f64);
  write(device_, tensor, {0.0});
  Output& output = outputs_.emplace_back();
  output.name = "loss";
  output.tensor = tensor;
  output.factors = &factors_.try_emplace("loss", 1, 1.0).first->second;
  start_clock();
  return tensor.as<double>();
}

void OpRun::output(const std::string& name, const Tensor& tensor) {
  stop_clock();
  Output& output = outputs_.emplace_back();
  output.name = name;
  output.tensor = tensor;
  if (tensor.grad == nullptr) return;
  std::vector<double>& factors = factors_[name];
  if (factors.empty()) {
    factors = drawn(op_, name + "/factors", tensor.shape);
    for (double& factor : factors) factor = rounded(factor, rounding_);
  }
  output.factors = &factors;
  tape_->consume(tensor, "the scalar of the check");
}

void OpRun::adopt(ParameterStore& store) {
  for (Parameter& parameter : store.parameters()) {
    Operand& operand = find_or_add(parameter.name);
    if (operand.values.empty()) {
      operand.scale = kMove;
      operand.values = read(device_, parameter.master);
      operand.before = normals(seed_of(parameter.name + "/before"), parameter.shape.count());
      const std::vector<double> move = normals(seed_of(parameter.name), parameter.shape.count());
      for (std::size_t index = 0; index < move.size(); ++index) {
        operand.values[index] = rounded(operand.values[index] + kMove * move[index], rounding_);
      }
    }
    operand.tensor = parameter.master;
    operand.grad = parameter.grad;
    store.write(parameter, operand.values);
  }
}

void OpRun::start_clock() {
  if (clock_ != nullptr) clock_->start();
}

void OpRun::stop_clock() {
  if (clock_ != nullptr) clock_->stop();
  clock_ = nullptr;
}

void OpRun::poison() {
  const std::size_t bytes = arena_.high_water();
  arena_.reset();
  const std::vector<unsigned char> nan(bytes, 0xff);
  copy_to_device(device_, arena_.allocate_bytes(bytes), nan.data(), bytes);
  arena_.reset();
}

void OpRun::forward(Tape::Mode mode) {
  if (arena_.high_water() == 0) {  // a first call tells how much there is to poison
    tape_.emplace(arena_, Tape::Mode::training);
    op_.call(*this);
  }
  poison();
  outputs_.clear();
  tape_.emplace(arena_, mode);
  op_.call(*this);
  for (Output& output : outputs_) output.values = read(device_, output.tensor);
}

void OpRun::forward_again(const Clock& clock) {
  clock_ = &clock;
  arena_.reset();
  outputs_.clear();
  tape_.emplace(arena_, Tape::Mode::training);
  op_.call(*this);
}

void OpRun::backward(bool accumulate_onto_noise) {
  for (const Operand& operand : operands_) {
    if (operand.before.empty()) continue;
    const std::vector<double> zeros(operand.before.size(), 0.0);
    write(device_, operand.grad, accumulate_onto_noise ? operand.before : zeros);
  }
  noise_ = accumulate_onto_noise;
  for (const Output& output : outputs_) {
    if (output.tensor.grad != nullptr) write(device_, grad_of(output.tensor), *output.factors);
  }
  tape_->backward();
}

std::vector<double> OpRun::gradient(const Operand& operand) const {
  std::vector<double> values = read(device_, operand.grad);
  if (!noise_ || operand.before.empty()) return values;
  for (std::size_t index = 0; index < values.size(); ++index) {
    values[index] -= operand.before[index];
  }
  return values;
}

}  // namespace masque::test
