// Every op case on the GPU, emulated or real, against the CPU.
#include "tests/support/gpu.h"
#include "tests/support/gradcheck.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

void require_passed(const Finding& finding) {
  INFO(finding.name << " " << finding.variant << ": " << finding.check << " of " << finding.tensor
                    << " is off by " << finding.error << ", limit " << finding.limit);
  CHECK(finding.passed());
}

// Larger cases, and whole models, take long on an emulated device: in two orders only.
constexpr double kLargest = 20'000;

void check_every_case(const char* dtype) {
  const Device device = make_device("cuda", dtype);
  for (const OpCase& op : all_cases()) {
    if (op.benchmark) continue;
    INFO(op.name << " " << op.variant);
    for (const Finding& finding : check_accuracy(op, device)) require_passed(finding);
    const bool large = op.along_directions || op.forward_work.activations > kLargest;
    require_passed(check_same_bits(op, device, large ? 2 : kThreadOrders, set_thread_order));
    set_thread_order(0);
  }
}

}  // namespace

TEST_CASE("op cases on the GPU, f32: the CPU's values, whatever the order of threads", "[gpu]") {
  check_every_case("f32");
}

TEST_CASE("op cases on the GPU, bf16: as exact as f32 rounded, whatever the order of threads",
          "[gpu]") {
  check_every_case("bf16");
}

}  // namespace masque::test
