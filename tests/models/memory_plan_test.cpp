// What the plan of an evaluation takes its forwards to hold. The peak itself: tests/apps.
#include "models/memory_plan.h"

#include <algorithm>

#include "tests/support/catch.h"
#include "tests/support/smallest_config.h"

namespace masque::test {
namespace {

// Positions whose logits an evaluation by LLaDA holds at most, by the plan.
std::int64_t planned_positions(std::int64_t context, std::int64_t draws) {
  RunConfig config = smallest_config(ObjectiveKind::llada);
  config.model.vocab_size = 10;
  config.model.context = context;
  config.training.eval_draws = draws;
  config.data.tokens = 1'000'000;
  const std::vector<MemoryPiece> pieces = plan_memory(resolve(config), On<Cpu, float>{});
  const auto logits = std::find_if(pieces.begin(), pieces.end(), [](const MemoryPiece& piece) {
    return piece.name == "logits of an evaluation";
  });
  REQUIRE(logits != pieces.end());
  return static_cast<std::int64_t>(logits->bytes / (10 * (sizeof(float) + sizeof(double))));
}

}  // namespace

TEST_CASE("a forward of whole sets of draws masks half, one of fewer as its strata do", "[cpu]") {
  CHECK(planned_positions(128, 8) == 2048);   // 32 sequences: 8 sets of 4 strata
  CHECK(planned_positions(1024, 8) == 2048);  // 4: one set
  CHECK(planned_positions(4096, 2) == 2048);  // 1: one set of one
  CHECK(planned_positions(4096, 8) == 3584);  // 1 of 4 strata: the top one, 87.5 %
  CHECK(planned_positions(2048, 8) == 3072);  // 2 of 4
  CHECK(planned_positions(680, 8) == 2380);   // 6: one set, and 2 of 4
}

}  // namespace masque::test
