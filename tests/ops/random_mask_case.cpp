#include "core/tape.h"
#include "kernels/random_mask.h"
#include "tests/support/op_case.h"
#include "tests/support/random.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 1.5e-7;
constexpr std::int32_t kPad = 0, kMask = 1, kStart = 2;

struct Options {
  TSampling sampling = TSampling::stratified;
  Weighting weighting = Weighting::inverse_t;
  std::vector<std::int32_t> lengths = {};  // empty: all of T
};

const char* name_of_sampling(TSampling sampling) {
  switch (sampling) {
    case TSampling::stratified:
      return "stratified";
    case TSampling::iid:
      return "iid";
    case TSampling::batch:
      return "batch";
  }
  return "?";
}

OpCase random_mask_case(std::int64_t B, std::int64_t T, const Options& options) {
  const auto n = static_cast<double>(B * T);
  OpCase op;
  op.name = "random_mask";
  op.variant =
      fmt::format("{} {}{}{}", Shape({B, T}).to_string(), name_of_sampling(options.sampling),
                  options.weighting == Weighting::none ? " unweighted" : "",
                  options.lengths.empty() ? "" : " lengths");
  op.call = [=](OpRun& run) {
    const Tensor tokens = run.integers({B, T}, integers(17, B * T, kPad, 20));
    const Tensor inputs = run.integers({B, T}, std::vector<std::int32_t>(tokens.shape.count(), -1));
    const Tensor weights = run.tape().statistic({B, T});
    Tensor lengths;
    if (!options.lengths.empty()) lengths = run.integers({B}, options.lengths);
    run.host_state().normaliser = 1 / n;
    run.tape().run("random_mask", [&](auto on) {
      using Real = typename decltype(on)::real;
      random_mask(on, {.inputs = inputs.as<std::int32_t>(),
                       .weights = weights.as<stat_t<Real>>(),
                       .tokens = tokens.as<std::int32_t>(),
                       .lengths = options.lengths.empty() ? nullptr : lengths.as<std::int32_t>(),
                       .state = run.state(),
                       .sampling = options.sampling,
                       .weighting = options.weighting,
                       .epsilon = 1e-3,
                       .total_rows = 3 + B,
                       .mask_token = kMask,
                       .pad_token = kPad,
                       .start_token = kStart,
                       .B = B,
                       .T = T});
    });
    run.output("inputs", inputs);
    run.output("weights", weights);
  };
  op.f32_limit = kF32Limit;
  op.forward_work = {.parameters = n, .integers = 2 * n};
  return op;
}

const Registration registration({
    random_mask_case(1, 1, {}),
    random_mask_case(5, 67, {}),
    random_mask_case(5, 33, {.sampling = TSampling::iid, .lengths = {33, 0, 17, 1, 32}}),
    random_mask_case(130, 131, {}),  // enough to be cut among threads
    random_mask_case(3, 33, {.sampling = TSampling::batch, .weighting = Weighting::none}),
    timed(random_mask_case(32, 128, {})),
    timed_on_gpu(random_mask_case(64, 256, {})),
});

}  // namespace
}  // namespace masque::test
