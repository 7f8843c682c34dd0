// How a batch is shared out between threads.
#include "models/shares.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/threads.h"
#include "kernels/backend.h"
#include "kernels/gemm.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

// B sequences of T ids, each its place in the batch; every third position is wanted.
struct Batch {
  Batch(std::int64_t B_, std::int64_t T_) : B(B_), T(T_), ids(static_cast<std::size_t>(B * T)) {
    std::iota(ids.begin(), ids.end(), 0);
    for (std::int64_t b = 0; b < B; ++b) lengths.push_back(static_cast<std::int32_t>(1 + b % T));
    for (std::int64_t row = 0; row < B * T; row += 3) rows.push_back(row);
    std::reverse(rows.begin(), rows.end());  // in any order
  }
  PredictorInput input() const { return {ids, lengths, B, T, rows}; }

  std::int64_t B, T;
  std::vector<std::int32_t> ids, lengths;
  std::vector<std::int64_t> rows;
};

TEST_CASE("shares hold every sequence and every wanted row once, and nothing of another's",
          "[cpu]") {
  const int threads_before = max_threads();
  for (const int threads : {1, 2, 3}) {
    set_threads(threads);
    for (const std::int64_t B : {1, 2, 3, 7, 40}) {
      for (const std::int64_t T : {1, 5, 128}) {
        for (const bool gpu : {false, true}) {
          CAPTURE(threads, B, T, gpu);
          const Batch batch(B, T);
          const PredictorInput input = batch.input();
          const std::vector<Share> shares = shares_of(input, gpu);
          if (gpu || B < threads) CHECK(shares.size() == 1);
          if (!gpu && B >= threads) CHECK(std::ssize(shares) >= threads);
          const ShareInput of_largest = ShareInput::largest(input, shares, gpu);
          const PredictorInput largest = of_largest.view();
          std::int64_t next = 0;
          std::vector<std::size_t> wanted;
          for (const Share& share : shares) {
            REQUIRE(share.first == next);
            next += share.count;
            wanted.insert(wanted.end(), share.wanted.begin(), share.wanted.end());
            if (share.wanted.empty()) continue;
            const ShareInput own(input, share, gpu);
            const PredictorInput view = own.view();
            REQUIRE(view.B * view.T == std::ssize(view.ids));
            REQUIRE(std::ssize(view.lengths) == view.B);
            CHECK(view.B <= largest.B);
            CHECK(view.rows.size() <= largest.rows.size());
            CHECK(std::ssize(view.rows) >= (gpu ? 1 : kThinRows + 1));
            CHECK(std::ssize(view.ids) >= (gpu ? 1 : kThinRows + 1));
            for (std::size_t k = 0; k < share.wanted.size(); ++k) {
              const std::int64_t row = input.rows[share.wanted[k]];
              REQUIRE(view.ids[static_cast<std::size_t>(view.rows[k])] == row);
              REQUIRE(view.lengths[static_cast<std::size_t>(view.rows[k] / T)] == 1 + row / T % T);
            }
          }
          CHECK(next == B);
          std::sort(wanted.begin(), wanted.end());
          REQUIRE(wanted.size() == batch.rows.size());
          for (std::size_t k = 0; k < wanted.size(); ++k) REQUIRE(wanted[k] == k);
        }
      }
    }
  }
  set_threads(threads_before);
}

TEST_CASE("a row outside the batch is refused", "[cpu]") {
  Batch batch(2, 4);
  batch.rows.push_back(8);
  CHECK_THROWS_WITH(shares_of(batch.input(), false), Catch::Contains("row 8 of 2 sequences of 4"));
}

}  // namespace
}  // namespace masque::test
