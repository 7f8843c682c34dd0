// residual_norm and its parts in CUDA against the CPU in f64: every way to cut a row, every option.
#include "kernels/philox.h"
#include "kernels/residual_norm.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"

#ifdef MASQUE_EMULATE
#include "kernels/emulator/grid.h"
#endif

#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr StepState kState{.seed = 0x1234567890abcdefULL, .step = 9, .first_row = 5};

struct Setting {
  std::int64_t B, T, C;
  bool layernorm = true, bias = true, residual = true, dresidual = true;
  double p = 0.3;

  std::int64_t size() const { return B * T * C; }
  bool adds() const { return residual || p > 0; }
};

// A call's arrays: of a DeviceArray, poisoned where they are written, or on the host. Values are
// those of Like, so that f64 reads the numbers that bf16 holds.
template <class Real, class Like, template <class...> class Array>
struct Arrays {
  explicit Arrays(const Setting& setting)
      : s(setting),
        stream(elements()),
        normed(elements()),
        dstream(drawn<Real>("dstream", s.size())),
        dbranch(elements()),
        residual(drawn<Real>("residual", s.size())),
        branch(drawn<Real>("branch", s.size())),
        dnormed(drawn<Real>("dnormed", s.size())),
        mean(static_cast<std::size_t>(s.B * s.T)),
        rstd(static_cast<std::size_t>(s.B * s.T)),
        weight(normal_array<param_t<Real>>("weight", s.C)),
        bias(normal_array<param_t<Real>>("bias", s.C)),
        dweight(normal_array<param_t<Real>>("dweight", s.C)),
        dbias(normal_array<param_t<Real>>("dbias", s.C)),
        state(std::vector<StepState>{kState}) {}

  Setting s;
  Array<Real> stream, normed, dstream, dbranch, residual, branch, dnormed;
  Array<stat_t<Real>> mean, rstd;
  Array<param_t<Real>> weight, bias, dweight, dbias;
  Array<StepState> state;

  std::size_t elements() const { return static_cast<std::size_t>(s.size()); }

  template <class Value>
  static std::vector<Value> drawn(const char* name, std::int64_t count) {
    std::vector<Value> values;
    for (const Like value : normal_array<Like>(name, count)) {
      values.push_back(static_cast<Value>(value));
    }
    return values;
  }

  ResidualDropoutForward<Real> add_forward() {
    return {.out = s.adds() ? stream.data() : branch.data(),
            .residual = s.residual ? residual.data() : nullptr,
            .branch = branch.data(),
            .state = state.data(),
            .stream = stream_of(Purpose::dropout, 3),
            .p = s.p,
            .B = s.B,
            .E = s.T * s.C};
  }
  ResidualDropoutBackward<Real> add_backward() {
    return {.dbranch = s.adds() ? dbranch.data() : dstream.data(),
            .dout = dstream.data(),
            .state = state.data(),
            .stream = stream_of(Purpose::dropout, 3),
            .p = s.p,
            .B = s.B,
            .E = s.T * s.C};
  }
  LayernormForward<Real> layernorm_forward_args() {
    return {.out = normed.data(),
            .mean = mean.data(),
            .rstd = rstd.data(),
            .x = add_forward().out,
            .weight = weight.data(),
            .bias = s.bias ? bias.data() : nullptr,
            .eps = 1e-5,
            .N = s.B * s.T,
            .C = s.C};
  }
  LayernormBackward<Real> layernorm_backward_args() {
    return {.dx = dstream.data(),
            .dweight = dweight.data(),
            .dbias = s.bias ? dbias.data() : nullptr,
            .dout = dnormed.data(),
            .dresidual = s.dresidual ? dstream.data() : nullptr,
            .x = add_forward().out,
            .mean = mean.data(),
            .rstd = rstd.data(),
            .weight = weight.data(),
            .N = s.B * s.T,
            .C = s.C};
  }
  RmsnormForward<Real> rmsnorm_forward_args() {
    const auto of = layernorm_forward_args();
    return {.out = of.out,
            .rstd = of.rstd,
            .x = of.x,
            .weight = of.weight,
            .eps = of.eps,
            .N = of.N,
            .C = of.C};
  }
  RmsnormBackward<Real> rmsnorm_backward_args() {
    const auto of = layernorm_backward_args();
    return {.dx = of.dx,
            .dweight = of.dweight,
            .dout = of.dout,
            .dresidual = of.dresidual,
            .x = of.x,
            .rstd = of.rstd,
            .weight = of.weight,
            .N = of.N,
            .C = of.C};
  }
};

template <class Real>
using GpuArrays = Arrays<Real, Real, DeviceArray>;
template <class Like>
using HostArrays = Arrays<double, Like, std::vector>;

// The step as one kernel each way, or as its parts one by one.
template <class Real>
void run_fused(GpuArrays<Real>& to) {
  const auto on = on_gpu<Real>();
  if (to.s.layernorm) {
    residual_layernorm_forward(on, to.add_forward(), to.layernorm_forward_args());
    residual_layernorm_backward(on, to.layernorm_backward_args(), to.add_backward());
  } else {
    residual_rmsnorm_forward(on, to.add_forward(), to.rmsnorm_forward_args());
    residual_rmsnorm_backward(on, to.rmsnorm_backward_args(), to.add_backward());
  }
}

template <class OnType, class To>
void norm_forward(OnType on, To& to) {
  if (to.s.layernorm) {
    layernorm_forward(on, to.layernorm_forward_args());
  } else {
    rmsnorm_forward(on, to.rmsnorm_forward_args());
  }
}

template <class OnType, class To>
void norm_backward(OnType on, To& to) {
  if (to.s.layernorm) {
    layernorm_backward(on, to.layernorm_backward_args());
  } else {
    rmsnorm_backward(on, to.rmsnorm_backward_args());
  }
}

template <class Real>
void run_parts(GpuArrays<Real>& to) {
  const auto on = on_gpu<Real>();
  residual_dropout_forward(on, to.add_forward());
  norm_forward(on, to);
  norm_backward(on, to);
  residual_dropout_backward(on, to.add_backward());
}

// Everything that was written, in a fixed order.
template <class Real>
std::vector<double> written(const GpuArrays<Real>& from) {
  std::vector<double> all;
  const auto append = [&](const auto& array) {
    for (const auto value : array.read()) all.push_back(value);
  };
  append(from.normed);
  append(from.dstream);
  append(from.rstd);
  append(from.dweight);
  append(from.dbias);
  if (from.s.adds()) append(from.stream), append(from.dbranch);
  if (from.s.layernorm) append(from.mean);
  return all;
}

template <class Real>
std::vector<double> fused(const Setting& setting) {
  GpuArrays<Real> arrays(setting);
  run_fused(arrays);
  return written(arrays);
}

template <class Value>
std::vector<double> doubles(const DeviceArray<Value>& array) {
  const std::vector<Value> values = array.read();
  return {values.begin(), values.end()};
}

// f32 sums of bf16 numbers are as exact as of f32; what is stored as bf16 is rounded once.
constexpr double kSums = 2e-6;
template <class Real>
constexpr double kStored = sizeof(Real) == 4 ? 2e-6 : 0x1p-8;

// Each stage from what the device had before it.
template <class Real>
void check_fused(const Setting& s) {
  CAPTURE(s.B, s.T, s.C, s.layernorm, s.bias, s.residual, s.dresidual, s.p, sizeof(Real));
  GpuArrays<Real> got(s);
  run_fused(got);
  HostArrays<Real> want(s);
  const On<Cpu, double> on;
  if (s.adds()) {
    residual_dropout_forward(on, want.add_forward());
    CHECK(relative_error(doubles(got.stream), want.stream) < kStored<Real>);
    want.stream = doubles(got.stream);
  }
  norm_forward(on, want);
  CHECK(relative_error(doubles(got.normed), want.normed) < kStored<Real>);
  CHECK(relative_error(doubles(got.rstd), want.rstd) < kSums);
  if (s.layernorm) CHECK(relative_error(doubles(got.mean), want.mean) < kSums);
  norm_backward(on, want);
  CHECK(relative_error(doubles(got.dweight), want.dweight) < kSums);
  CHECK(relative_error(doubles(got.dbias), want.dbias) < kSums);
  // A row of one element has no gradient but the residual's.
  if (s.C > 1 || s.dresidual) {
    CHECK(relative_error(doubles(got.dstream), want.dstream) < kStored<Real>);
  }
  if (s.adds()) {
    want.dstream = doubles(got.dstream);
    residual_dropout_backward(on, want.add_backward());
    CHECK(relative_error(doubles(got.dbranch), want.dbranch) < kStored<Real>);
  }
}

// A warp a row, then a block, in packs; then element by element. The rows of {5, 21, 8} are more
// than the blocks that stay.
constexpr Setting kShapes[] = {{1, 1, 1},    {2, 3, 13},   {3, 1, 8},   {5, 21, 8},
                               {2, 2, 200},  {1, 9, 384},  {1, 3, 768}, {1, 2, 1016},
                               {1, 2, 1032}, {1, 3, 2056}, {2, 1, 4104}};

TEMPLATE_TEST_CASE("fused residual and norm equal the CPU's in f64", "[emulated]", float, bf16) {
  for (Setting s : kShapes) {
    for (const bool layernorm : {true, false}) {
      s.layernorm = layernorm;
      check_fused<TestType>(s);
    }
  }
}

TEMPLATE_TEST_CASE("fused residual and norm, option by option", "[emulated]", float, bf16) {
  for (const std::int64_t C : {13, 40}) {
    for (int options = 0; options < 32; ++options) {
      const auto option = [&](int bit) { return (options >> bit & 1) != 0; };
      check_fused<TestType>({.B = 1,
                             .T = 2,
                             .C = C,
                             .layernorm = option(0),
                             .bias = option(1),
                             .residual = option(2),
                             .dresidual = option(3),
                             .p = option(4) ? 0.3 : 0});
    }
  }
}

TEMPLATE_TEST_CASE("one kernel gives the bits of its parts", "[emulated]", float, bf16) {
  for (const std::int64_t C : {13, 40, 1032}) {
    for (const bool layernorm : {true, false}) {
      for (const double p : {0.0, 0.3}) {
        const Setting setting{.B = 1, .T = 2, .C = C, .layernorm = layernorm, .p = p};
        GpuArrays<TestType> parts(setting);
        run_parts(parts);
        CAPTURE(C, layernorm, p);
        CHECK(same_bits(fused<TestType>(setting), written(parts)));
      }
    }
  }
}

TEMPLATE_TEST_CASE("CUDA drops what the CPU drops", "[emulated]", float, bf16) {
  for (const std::int64_t C : {7, 40}) {
    const Setting setting{.B = 3, .T = 11, .C = C, .residual = false, .p = 0.6};
    GpuArrays<TestType> got(setting);
    HostArrays<TestType> want(setting);
    residual_dropout_forward(on_gpu<TestType>(), got.add_forward());
    residual_dropout_forward(On<Cpu, double>{}, want.add_forward());
    const std::vector<double> stream = doubles(got.stream);
    std::size_t differ = 0;
    for (std::size_t i = 0; i < stream.size(); ++i)
      differ += (stream[i] == 0) != (want.stream[i] == 0);
    CHECK(differ == 0);
    CHECK(relative_error(stream, want.stream) < kStored<TestType>);
  }
}

// Pointers that no pack can start at: the result of the element path is the packs' but for the
// order of sums.
TEST_CASE("rows that packs cannot read are read by element", "[emulated]") {
  const std::int64_t N = 3, C = 16;
  const auto x = normal_array<float>("x", N * C + 1), weight = normal_array<float>("weight", C);
  const DeviceArray<float> from(x), scale(weight), out(x.size());
  const DeviceArray<float> mean(static_cast<std::size_t>(N)), rstd(static_cast<std::size_t>(N));
  layernorm_forward(on_gpu<float>(), LayernormForward<float>{.out = out.data() + 1,
                                                             .mean = mean.data(),
                                                             .rstd = rstd.data(),
                                                             .x = from.data() + 1,
                                                             .weight = scale.data(),
                                                             .bias = nullptr,
                                                             .eps = 1e-5,
                                                             .N = N,
                                                             .C = C});
}

TEMPLATE_TEST_CASE("a captured step draws by the state that it finds", "[emulated]", float, bf16) {}

#ifdef MASQUE_EMULATE

TEMPLATE_TEST_CASE("norms do not depend on the order of threads", "[emulated]", float, bf16) {
  using emulator::Order;
  emulator::Settings& settings = emulator::settings();
  const emulator::Settings before = settings;
  for (const std::int64_t C : {13, 40, 1032}) {
    const Setting setting{.B = 1, .T = 2, .C = C};
    settings.order = Order::forward;
    const std::vector<double> expected = fused<TestType>(setting);
    settings.order = Order::reverse;
    CHECK(same_bits(fused<TestType>(setting), expected));
    settings.order = Order::random;
    for (const std::uint64_t seed : {1, 2}) {
      settings.seed = seed;
      CHECK(same_bits(fused<TestType>(setting), expected));
    }
  }
  settings = before;
}

#endif

}  // namespace
}  // namespace masque::test
