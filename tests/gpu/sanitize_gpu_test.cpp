// Hidden: each op case once, forward and backward, for compute-sanitizer, under which the whole of
// op_cases_gpu_test.cpp would take too long. Values are checked there.
#include "tests/support/op_case.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {

TEST_CASE("op cases once for compute-sanitizer", "[.sanitize]") {
  std::size_t ran = 0;
  for (const char* dtype : {"f32", "bf16"}) {
    const Device device = make_device("cuda", dtype);
    for (const OpCase& op : all_cases()) {
      if (op.benchmark) continue;
      INFO(op.name << " " << op.variant << " " << dtype);
      OpRun run(op, device);
      run.forward();
      run.backward(true);
      CHECK(!run.outputs().empty());
      ++ran;
    }
  }
  CHECK(ran > 0);
}

}  // namespace masque::test
