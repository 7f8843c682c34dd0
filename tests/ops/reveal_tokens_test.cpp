#include "kernels/reveal_tokens.h"

#include <limits>

#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::int32_t kMask = 1;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<std::uint8_t> wanted(const std::vector<std::int32_t>& ids, std::int64_t n,
                                 const std::vector<std::uint32_t>& due = {}, std::uint32_t step = 0,
                                 const std::vector<std::uint32_t>& from = {}) {
  std::vector<std::uint8_t> result(ids.size(), 9);
  wanted_positions(On<Cpu, float>{}, {.wanted = result.data(),
                                      .ids = ids.data(),
                                      .due = due.empty() ? nullptr : due.data(),
                                      .from = from.empty() ? nullptr : from.data(),
                                      .step = &step,
                                      .mask_token = kMask,
                                      .n = n,
                                      .T = static_cast<std::int64_t>(ids.size()) / n});
  return result;
}

// Ids after a step: position i wants the token 10 + i.
std::vector<std::int32_t> reveal(std::vector<std::int32_t> ids,
                                 const std::vector<double>& confidence,
                                 const std::vector<std::uint32_t>& counts) {
  const auto n = static_cast<std::int64_t>(counts.size());
  const std::vector<std::uint8_t> flags = wanted(ids, n);
  std::vector<std::int32_t> tokens(ids.size(), -1);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (flags[i] != 0) tokens[i] = 10 + static_cast<std::int32_t>(i);
  }
  reveal_tokens(On<Cpu, float>{}, {.ids = ids.data(),
                                   .tokens = tokens.data(),
                                   .confidence = confidence.empty() ? nullptr : confidence.data(),
                                   .wanted = flags.data(),
                                   .counts = counts.data(),
                                   .n = n,
                                   .T = static_cast<std::int64_t>(ids.size()) / n});
  return ids;
}

using Ids = std::vector<std::int32_t>;

TEST_CASE("masked positions are wanted, when they are due", "[cpu]") {
  const Ids ids = {kMask, 7, kMask, 8, kMask, kMask};
  CHECK(wanted(ids, 2) == std::vector<std::uint8_t>{1, 0, 1, 0, 1, 1});
  CHECK(wanted(ids, 2, {4, 4, 3, 4, 5, 4}, 4) == std::vector<std::uint8_t>{1, 0, 0, 0, 0, 1});
  CHECK(wanted(ids, 2, {}, 4, {4, 4, 3, 4, 5, 4}) == std::vector<std::uint8_t>{1, 0, 1, 0, 0, 1});
}

TEST_CASE("the most confident tokens of each sequence are revealed", "[cpu]") {
  const Ids ids = {kMask, 7, kMask, kMask, kMask, kMask, 8, kMask};
  const std::vector<double> confidence = {0.2, kNan, 0.9, 0.3, 0.8, 0.1, kNan, 0.7};
  CHECK(reveal(ids, confidence, {1, 2}) == Ids{kMask, 7, 12, kMask, 14, kMask, 8, 17});
  CHECK(reveal(ids, confidence, {2, 0}) == Ids{kMask, 7, 12, 13, kMask, kMask, 8, kMask});
  CHECK(reveal(ids, confidence, {100, 3}) == Ids{10, 7, 12, 13, 14, 15, 8, 17});
  CHECK(reveal(ids, {}, {0, 0}) == Ids{10, 7, 12, 13, 14, 15, 8, 17});
}

TEST_CASE("of equally confident tokens the first are revealed", "[cpu]") {
  const Ids ids = {kMask, kMask, kMask, kMask, kMask};
  CHECK(reveal(ids, {0.5, 0.5, 0.5, 0.5, 0.5}, {2}) == Ids{10, 11, kMask, kMask, kMask});
  CHECK(reveal(ids, {0.5, 0.7, 0.5, 0.2, 0.5}, {3}) == Ids{10, 11, 12, kMask, kMask});
  CHECK(reveal(ids, {-0.0, 0.0, -0.0, 0.0, -1}, {3}) == Ids{10, 11, 12, kMask, kMask});
}

TEST_CASE("nothing masked is nothing revealed", "[cpu]") {
  const Ids ids = {5, 6, 7};
  CHECK(reveal(ids, {kNan, kNan, kNan}, {2}) == ids);
  CHECK(reveal(ids, {}, {2}) == ids);
}

TEST_CASE("what is revealed does not depend on the number of threads", "[cpu]") {
  const std::int64_t n = 9, T = 2001;
  CHECK(same_for_any_threads([&] {
    return reveal(integers(1, n * T, 1, 2), normal_array<double>("confidence", n * T),
                  std::vector<std::uint32_t>(n, 300));
  }));
}

}  // namespace
}  // namespace masque::test
