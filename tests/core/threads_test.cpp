#include "core/threads.h"

#include <omp.h>

#include <atomic>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

struct Call {
  int thread = -1, threads_within = 0, times = 0;
};

std::vector<Call> share(std::int64_t count, int threads) {
  return with_threads(threads, [&] {
    std::vector<Call> calls(static_cast<std::size_t>(count));
    share_out(count, [&](std::int64_t i, int thread) {
      Call& call = calls[static_cast<std::size_t>(i)];
      call.thread = thread;
      call.threads_within = max_threads();
      ++call.times;
    });
    CHECK(max_threads() == threads);
    return calls;
  });
}

TEST_CASE("share_out makes each call once, alone on its thread where there are enough", "[cpu]") {
  for (const int threads : {1, 2, 3}) {
    for (const std::int64_t count : {0, 1, 2, 3, 20}) {
      CAPTURE(threads, count);
      const bool apart = count >= threads;
      for (const Call& call : share(count, threads)) {
        CHECK(call.times == 1);
        CHECK(call.threads_within == (apart ? 1 : threads));
        CHECK(call.thread >= 0);
        CHECK(call.thread < (apart ? threads : 1));
      }
    }
  }
}

TEST_CASE("share_out works on all threads at once", "[cpu]") {
  // Each call waits for the others: with fewer threads at work this would not end.
  std::atomic<int> begun = 0;
  with_threads(3, [&] {
    share_out(3, [&](std::int64_t, int) {
      ++begun;
      while (begun < 3) {
      }
    });
    return 0;
  });
  CHECK(begun == 3);
}

TEST_CASE("share_out throws what a call has thrown, after the other calls", "[cpu]") {
  for (const int threads : {2, 3}) {
    std::atomic<int> calls = 0;
    const auto run = [&] {
      return with_threads(threads, [&] {
        share_out(9, [&](std::int64_t i, int) {
          ++calls;
          if (i == 4) throw InputError("call 4");
        });
        return 0;
      });
    };
    const int before = omp_get_max_threads();
    CHECK_THROWS_WITH(run(), "call 4");
    omp_set_num_threads(before);  // with_threads does not where something is thrown
    CHECK(calls == 9);
  }
}

}  // namespace
}  // namespace masque::test
