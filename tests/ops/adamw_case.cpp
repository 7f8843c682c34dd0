#include "core/tape.h"
#include "kernels/adamw.h"
#include "tests/support/op_case.h"
#include "tests/support/random.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 3e-7;

struct Options {
  bool ema = false;
  int updates = 3;
};

OpCase adamw_case(std::int64_t n, std::int64_t n_decay, const Options& options) {
  OpCase op;
  op.name = "adamw";
  op.variant = fmt::format("n{} decayed={}{} updates={}", n, n_decay, options.ema ? " ema" : "",
                           options.updates);
  op.call = [=](OpRun& run) {
    const std::vector<double> zeros(static_cast<std::size_t>(n), 0.0);
    const Tensor master = run.buffer("master", {n});
    const Tensor m = run.buffer({n}, zeros);
    const Tensor v = run.buffer({n}, zeros);
    const Tensor ema = run.buffer("ema", {n});
    const Tensor grad = run.buffer("grad", {n}, {.sd = 0.01});
    run.host_state().lr = 1e-2;
    run.host_state().clip_scale = 0.5;
    for (int update = 0; update < options.updates; ++update) {
      run.host_state().step = static_cast<std::uint32_t>(update);
      run.tape().run("adamw", [&](auto on) {
        using Real = typename decltype(on)::real;
        using Param = param_t<Real>;
        adamw(on, {.master = master.as<Param>(),
                   .compute = nullptr,
                   .m = m.as<Param>(),
                   .v = v.as<Param>(),
                   .ema = options.ema ? ema.as<Param>() : nullptr,
                   .grad = grad.as<Param>(),
                   .state = run.state(),
                   .beta1 = 0.9,
                   .beta2 = 0.99,
                   .eps = 1e-8,
                   .decay = 0.1,
                   .ema_decay = 0.999,
                   .n = n,
                   .n_decay = n_decay});
      });
    }
    run.output("master", master);
    run.output("m", m);
    run.output("v", v);
    run.output("ema", ema);
  };
  op.f32_limit = kF32Limit;
  const double updated = static_cast<double>(n) * options.updates;
  op.forward_work = {.parameters = 7 * updated, .flops = 14 * updated};
  return op;
}

const Registration registration({
    adamw_case(1, 0, {}),
    adamw_case(67, 13, {}),
    adamw_case(6700, 6700, {.ema = true, .updates = 10}),
    adamw_case(100003, 65536, {.ema = true}),
    timed(adamw_case(800000, 790000, {.updates = 1})),
    timed_on_gpu(adamw_case(10'700'000, 10'600'000, {.updates = 1})),
    timed_on_gpu(adamw_case(124'400'000, 124'300'000, {.updates = 1})),
});

}  // namespace
}  // namespace masque::test
