// One definition of an op's case, from which come its gradient check, its f32 accuracy, its
// determinism and its microbenchmark. A case is a function that asks an OpRun for its operands by
// name, calls the op, and names what came out:
//
//   run.output("out", gelu(run.tape(), run.input("x", {2, 7, 13})));
//
// The function is called again for every forward; the run keeps the values, so that a checker can
// move one of them between calls.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/parameter.h"
#include "core/tape.h"
#include "kernels/step_state.h"

namespace masque::test {

class OpRun;

// Which positions of an output the positions of an input reach: input (B,T,…), output (B,T,…).
struct Dependence {
  std::string input;
  std::function<bool(std::int64_t row, std::int64_t to, std::int64_t from)> reaches;
};

// The least that one pass of an op moves, in elements read and written, and computes.
struct Work {
  double activations = 0;  // elements of the device's activation type
  double parameters = 0;   // of param_t: masters, gradients of parameters, statistics
  double integers = 0;     // i32
  double flops = 0;
};

struct OpCase {
  std::string name;     // of the op
  std::string variant;  // its shape and options, unique within the op
  std::function<void(OpRun&)> call;
  double f32_limit = 0;  // largest relative error of f32 against f64; docs/numerics.md
  std::optional<Dependence> dependence = std::nullopt;
  bool along_directions = false;  // gradients along random directions only: whole models
  bool same_without_tape = true;  // false: inference computes something else (dropout is off)
  Work forward_work, backward_work = {};  // for masque-bench; no backward: nothing
  bool benchmark = false;                 // of a size to be timed, not checked
  bool fills_gpu = false;                 // timed on a GPU only: too large for others
  // Error in bf16: at most so many times that of f32 whose results are rounded once, and half as
  // much again for gradients; or, where not 0, at most bf16_limit.
  double bf16_slack = 1.1, bf16_limit = 0;
};

// The same case as one to be timed, not checked; on a GPU only.
OpCase timed(OpCase op);
OpCase timed_on_gpu(OpCase op);

// All cases, sorted by name. Those of one op share its limit.
const std::vector<OpCase>& all_cases();

// Adds cases to all_cases(): one static object in each tests/ops/x_case.cpp.
struct Registration {
  explicit Registration(const std::vector<OpCase>& cases);
};

// How an operand is drawn: normal, rounded to f32. Of a case to be timed, a million numbers again
// and again.
struct Draw {
  double mean = 0;
  double sd = 1;
};

// Operands, tape and outputs of one case on one device.
class OpRun {
 public:
  // operands: what drawn values are rounded to, f32 or bf16, so that no run has to round them.
  OpRun(const OpCase& op, const Device& device, DType operands = DType::f32);

  // What a case calls.
  Tape& tape() { return *tape_; }
  Tensor input(const std::string& name, const Shape& shape, Draw draw = {});  // has a gradient
  Parameter& parameter(const std::string& name, const Shape& shape, Draw draw = {});
  Tensor buffer(const std::string& name, const Shape& shape, Draw draw = {});  // param type
  Tensor buffer(const Shape& shape, const std::vector<double>& values);
  Tensor integers(const Shape& shape, const std::vector<std::int32_t>& values);
  const std::uint8_t* bytes(const std::vector<std::uint8_t>& values);
  StepState& host_state() { return state_; }  // seed, step and first row are set
  StepState* state();                         // its copy on the device, as it is now
  StepState read_state();                     // what a kernel made of that copy
  double* loss();                             // 0 before the op; enters the scalar as it is
  void output(const std::string& name, const Tensor& tensor);
  // An object that lives as long as the run, made at the first call: a model.
  template <class Type, class... Arguments>
  Type& own(const Arguments&... arguments);
  // All parameters of a model that owns them; each value is moved at the first call, so that no
  // bias is 0 and no two norm weights are equal.
  void adopt(ParameterStore& store);

  // What a checker calls.
  struct Operand {
    std::string name;
    std::vector<double> values;
    std::vector<double> before;  // of a parameter: what its gradient holds before the backward
    Tensor tensor;               // of the last forward; a parameter's master
    Tensor grad;                 // no data: the operand is not differentiated
    double scale = 1;            // sd of its draw
    std::unique_ptr<ParameterStore> store;  // of a parameter() of the case
  };
  struct Output {
    std::string name;
    Tensor tensor;
    std::vector<double> values;
    const std::vector<double>* factors =
        nullptr;  // the scalar is Σ factors·values; null: not in it
  };

  // Calls the case on a fresh tape. Every byte it may write holds NaN before.
  void forward(Tape::Mode mode = Tape::Mode::training);
  // Runs the tape back from the scalar Σ factors·output. accumulate_onto_noise: parameters'
  // gradients hold random numbers before, as in an accumulation step.
  void backward(bool accumulate_onto_noise);
  std::vector<double> gradient(const Operand& operand) const;  // less what it held before

  // What masque-bench calls, after a forward and a backward: both once more, without the poison
  // and the reading. The clock starts after each operand that the case asks for, so that the last
  // start counts, and stops when the op has been called.
  struct Clock {
    std::function<void()> start, stop;
  };
  void forward_again(const Clock& clock);
  void backward_again() { tape_->backward(); }

  std::deque<Operand>& operands() { return operands_; }
  const std::vector<Output>& outputs() const { return outputs_; }
  const Device& device() const { return device_; }

 private:
  struct Owned {
    virtual ~Owned() = default;
  };
  template <class Type>
  struct Owner : Owned {
    template <class... Arguments>
    explicit Owner(const Arguments&... arguments) : value(arguments...) {}
    Type value;
  };

  Operand& find_or_add(const std::string& name);
  Operand& find_or_draw(const std::string& name, const Shape& shape, Draw draw);
  void poison();
  void start_clock();
  void stop_clock();

  OpCase op_;
  Device device_;
  DType rounding_;
  Arena arena_;
  std::optional<Tape> tape_;
  StepState state_;
  Memory device_state_;
  bool noise_ = false;            // whether gradients held operand.before
  const Clock* clock_ = nullptr;  // in forward_again, until the op has been called
  std::deque<Operand> operands_;  // a deque: references stay valid
  std::vector<Output> outputs_;
  std::map<std::string, std::vector<double>> factors_;
  std::unique_ptr<Owned> owned_;
};

template <class Type, class... Arguments>
Type& OpRun::own(const Arguments&... arguments) {
  if (owned_ == nullptr) owned_ = std::make_unique<Owner<Type>>(arguments...);
  return static_cast<Owner<Type>&>(*owned_).value;
}

// Elements of a tensor of any type as doubles, and back.
std::vector<double> read(const Device& device, const Tensor& tensor);
void write(const Device& device, const Tensor& tensor, const std::vector<double>& values);

}  // namespace masque::test
