#include "tests/gpu/attention_runs.h"
#include "tests/support/gpu.h"

namespace masque::test {
namespace {

// What may be lost to f32 sums, and to results and, on tensor cores, weights rounded to bf16.
template <class Real>
constexpr double kLimit = std::is_same_v<Real, bf16> ? 5e-3 : 1e-6;

template <class Real>
void check(const Case& at, const Inputs<Real>& in, Path path) {
  const Result<Real> got = run(at, in, path);
  const Result<double> wanted = reference(at, in);
  CAPTURE(at.B, at.T, at.NH, at.HS, at.causal, at.lengths, at.p, sizeof(Real));
  CHECK(relative_error(got.out, wanted.out) <= kLimit<Real>);
  CHECK(relative_error(got.lse, wanted.lse) <= 1e-6);
  CHECK(relative_error(got.dqkv, wanted.dqkv) <= kLimit<Real>);
}

template <class Real>
void check(const Case& at, Path path) {
  check(at, inputs_of<Real>(at), path);
}

TEST_CASE("attention in f32 arithmetic equals the CPU's f64, for any head size", "[gpu]") {
  const std::vector<Case> cases = {
      {1, 1, 1, 1},
      {2, 2, 1, 4, true, {}, 0.3},
      {1, 19, 3, 13, true},
      {2, 33, 1, 8, false, {33, 0}, 0.2},
      {2, 66, 1, 31, true, {17, 66}, 0.2},
      {1, 80, 1, 32, false, {}, 0.5},
      {1, 40, 1, 64, true, {39}},
      {1, 67, 1, 64, false, {}, 0.3},
      {1, 35, 1, 65, true},
      {1, 37, 1, 128, false, {}, 0.2},
      {2, 18, 1, 129, true, {3, 17}},
      {1, 20, 1, 256, false, {}, 0.1},
  };
  for (const Case& at : cases) {
    check<float>(at, Path::fma);
    check<bf16>(at, Path::fma);
  }
}

TEST_CASE("attention in bf16 leaves head sizes that no tile takes to f32 arithmetic", "[gpu]") {
  for (const std::int64_t HS : {8, 65}) {
    const Case at = {1, 19, 2, HS, true};
    const auto in = inputs_of<bf16>(at);
    CAPTURE(HS);
    CHECK(same_bits(run(at, in), run(at, in, Path::fma)));
  }
}

TEST_CASE("attention on tensor cores equals the CPU's f64, for every head size it takes", "[gpu]") {
  const std::vector<Case> cases = {
      {1, 1, 1, 32},
      {2, 2, 1, 32, true, {}, 0.3},
      {1, 129, 2, 32, true},
      {2, 131, 1, 32, false, {131, 0}, 0.2},
      {2, 150, 1, 64, true, {70, 150}, 0.2},
      {1, 200, 1, 64, false, {}, 0.5},
      {2, 64, 2, 64, true, {64, 1}},
      {1, 97, 1, 96, true, {}, 0.1},
      {2, 70, 1, 96, false, {33, 65}},
      {1, 130, 1, 128, true},
      {2, 67, 1, 128, false, {0, 66}, 0.3},
  };
  for (const Case& at : cases) check<bf16>(at, Path::tiled);
}

TEST_CASE("attention of short sequences equals the CPU's f64, for any length", "[gpu]") {
  const std::vector<Case> cases = {
      {1, 1, 1, 64},
      {2, 1, 2, 64, true, {1, 0}},
      {2, 2, 1, 64, true, {}, 0.3},
      {2, 17, 2, 64, false, {17, 0}, 0.3},
      {1, 33, 3, 64, true, {16}},
      {2, 63, 1, 64, true, {63, 1}, 0.2},
      {3, 64, 1, 64, false, {64, 63, 0}},
      {1, 65, 2, 64, true, {}, 0.1},
      {2, 65, 1, 64, false, {65, 64}},
      {1, 97, 1, 64, true},
      {2, 128, 1, 64, true, {128, 97}},
      {1, 128, 1, 64, false, {}, 0.5},
      {2, 131, 1, 64, false, {131, 32}, 0.2},
      {1, 160, 1, 64, true, {129}},
      {1, 255, 1, 64, false},
      {1, 255, 1, 64, true, {254}, 0.1},
      {1, 256, 1, 64, false, {}, 0.2},
      {2, 256, 1, 64, true, {200, 256}},
  };
  for (const Case& at : cases) check<bf16>(at, Path::short_);
}

// A key past the length, which is 0 in shared memory, would have a weight of e^288 here.
TEST_CASE("attention with very low scores ignores the keys past the length", "[gpu]") {
  const Case at = {1, 45, 1, 64, false, {35}};
  auto in = inputs_of<bf16>(at);
  for (std::int64_t i = 0; i < 35; ++i) {
    for (std::int64_t d = 0; d < at.HS; ++d) {
      bf16* element = in.qkv.data() + 3 * i * at.HS + d;
      element[0] = bf16(6.0f);
      element[at.HS] = bf16(0.5f * static_cast<float>(element[at.HS]) - 6);
    }
  }
  for (const Path path : {Path::fma, Path::tiled, Path::short_}) check(at, in, path);
}

TEST_CASE("attention does not depend on the order of threads, nor on when copies land", "[gpu]") {
  const Case at = {2, 130, 1, 64, true, {130, 77}, 0.25};
  const auto half = inputs_of<bf16>(at);
  const auto single = inputs_of<float>(at);
  set_thread_order(0);
  const Result<bf16> whole = run(at, half, Path::short_);
  const Result<bf16> tiled = run(at, half, Path::tiled);
  const Result<float> fma = run(at, single, Path::fma);
  for (int order = 1; order < kThreadOrders; ++order) {
    set_thread_order(order);
    CHECK(same_bits(run(at, half, Path::short_), whole));
    CHECK(same_bits(run(at, half, Path::tiled), tiled));
    CHECK(same_bits(run(at, single, Path::fma), fma));
  }
  set_thread_order(0);
}

#ifdef MASQUE_EMULATE

// Sets the shared memory that a block may have, for as long as it lives.
class SharedLimit {
 public:
  explicit SharedLimit(std::size_t kilobytes) {
    emulator::settings().shared_limit = kilobytes * 1024;
  }
  SharedLimit(const SharedLimit&) = delete;
  SharedLimit& operator=(const SharedLimit&) = delete;
  ~SharedLimit() { emulator::settings().shared_limit = before_; }

 private:
  std::size_t before_ = emulator::settings().shared_limit;
};

template <class Args>
bool short_fits(std::int64_t T, double p, std::int64_t HS = 64) {
  Args args{};
  args.B = args.NH = 1;
  args.T = T;
  args.HS = HS;
  args.p = p;
  return attention_short_fits(args);
}

TEST_CASE("short attention is chosen as far as a block's shared memory goes", "[gpu]") {
  struct Limit {
    std::size_t kilobytes;
    std::int64_t forward, backward;  // the longest sequences
  };
  for (const Limit& limit : {Limit{99, 256, 128}, Limit{163, 256, 256}, Limit{227, 256, 256}}) {
    const SharedLimit set(limit.kilobytes);
    CAPTURE(limit.kilobytes);
    for (const double p : {0.0, 0.1}) {
      CHECK(short_fits<AttentionForward<bf16>>(limit.forward, p));
      CHECK_FALSE(short_fits<AttentionForward<bf16>>(limit.forward + 1, p));
      CHECK(short_fits<AttentionBackward<bf16>>(limit.backward, p));
      CHECK_FALSE(short_fits<AttentionBackward<bf16>>(limit.backward + 1, p));
      CHECK_FALSE(short_fits<AttentionForward<bf16>>(64, p, 32));
      CHECK_FALSE(short_fits<AttentionBackward<bf16>>(64, p, 128));
    }
  }
}

// What a block is not given, no kernel takes: so an Error shows which one was chosen.
TEST_CASE("attention goes to the short kernels where they fit, else to tiles", "[gpu]") {
  const Case brief = {1, 32, 1, 64, true}, longer = {1, 129, 1, 64, true};
  const auto brief_in = inputs_of<bf16>(brief), longer_in = inputs_of<bf16>(longer);
  const Result<bf16> brief_result = run(brief, brief_in, Path::short_);
  const Result<bf16> longer_result = run(longer, longer_in, Path::short_);
  {
    const SharedLimit set(24);
    CHECK_THROWS_AS(run(brief, brief_in, Path::tiled), Error);
    CHECK(same_bits(run(brief, brief_in), brief_result));
  }
  {
    const SharedLimit set(99);
    CHECK(relative_error(run(longer, longer_in).dqkv, longer_result.dqkv) <= kLimit<bf16>);
  }
  const Case longest = {1, 257, 1, 64, true};
  const auto in = inputs_of<bf16>(longest);
  CHECK(same_bits(run(longest, in), run(longest, in, Path::tiled)));
}

TEST_CASE("attention at addresses that are no multiples of 16 is left to f32 arithmetic", "[gpu]") {
  AttentionForward<bf16> args{};
  args.B = args.NH = 1;
  args.T = args.HS = 64;
  alignas(16) bf16 element[2];
  CHECK(attention_short_fits(args));
  args.qkv = element + 1;
  CHECK_FALSE(attention_short_fits(args));
  CHECK_FALSE(attention_tiled_fits(args));
}

#endif

}  // namespace
}  // namespace masque::test
