#include "core/arena.h"

#include <cstdint>

#include "core/tape.h"
#include "tests/support/catch.h"
#include "tests/support/memory.h"

namespace masque {
namespace {

const Device kCpu = On<Cpu, float>{};

}  // namespace

TEST_CASE("arena: tensors are aligned, apart and as large as asked", "[cpu]") {
  Arena arena(kCpu, "test");
  const Tensor first = arena.allocate({3}, DType::f32);
  const Tensor second = arena.allocate({2, 5}, DType::f64);
  CHECK(reinterpret_cast<std::uintptr_t>(first.data) % 64 == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(second.data) % 64 == 0);
  CHECK(static_cast<char*>(second.data) - static_cast<char*>(first.data) >= 12);
  CHECK(second.shape == Shape{2, 5});
  CHECK(second.dtype == DType::f64);
  CHECK(second.grad == nullptr);
  CHECK(arena.high_water() == 64 + 128);
}

TEST_CASE("arena: growing leaves what was allocated where it was", "[cpu]") {
  Arena arena(kCpu, "test");
  const Tensor first = arena.allocate({1}, DType::f32);
  first.as<float>()[0] = 42;
  for (int chunk = 0; chunk < 5; ++chunk) arena.allocate({1 << 19}, DType::f32);
  CHECK(first.as<float>()[0] == 42);
}

TEST_CASE("arena: the second step allocates nothing and later steps see the same addresses",
          "[cpu]") {
  Arena arena(kCpu, "test");
  const auto step = [&] {
    arena.reset();
    arena.allocate_bytes(std::size_t{3} << 20);
    return arena.allocate_bytes(100);
  };
  step();
  const std::size_t high_water = arena.high_water();
  const void* second = step();
  arena.freeze();
  CHECK(step() == second);
  CHECK(step() == second);
  CHECK(arena.high_water() == high_water);
}

TEST_CASE("arena: one that counts takes nothing, and tells what another then needs", "[cpu]") {
  const auto work = [](Arena& arena) {
    arena.allocate({5}, DType::f32);
    return arena.allocate({std::int64_t{1} << 20}, DType::f64).data;
  };
  Arena counting = Arena::counting(kCpu);
  CHECK(work(counting) != nullptr);
  CHECK(counting.high_water() == 64 + (8 << 20));
  Arena arena(kCpu, "test");
  arena.reserve(counting.high_water());
  arena.freeze();  // growth would be an Error
  work(arena);
  arena.reset();
  CHECK(work(arena) != nullptr);
  CHECK(arena.high_water() == counting.high_water());
}

TEST_CASE("arena: one that counts runs no kernels", "[cpu]") {
  Arena counting = Arena::counting(kCpu);
  Tape tape(counting, Tape::Mode::training);
  bool ran = false;
  tape.run("test", [&](auto) { ran = true; });
  CHECK_FALSE(ran);
}

TEST_CASE("arena: memory that is not there is named", "[cpu]") {
  if (!test::kCountsMemory) return;  // sanitizers end the program instead
  Arena arena(kCpu, "activations of a test", "lower the test");
  CHECK_THROWS_WITH(
      arena.allocate_bytes(std::size_t{1} << 50),
      "out of memory: activations of a test: 1.0 PiB more are asked for: lower the test");
}

TEST_CASE("arena: once frozen it cannot grow", "[cpu]") {
  Arena arena(kCpu, "training");
  arena.allocate_bytes(std::size_t{1} << 20);
  arena.reset();
  arena.freeze();
  arena.allocate_bytes(std::size_t{1} << 20);
  CHECK_THROWS_WITH(arena.allocate_bytes(1),
                    "arena training: 64 bytes more than the 1048576 of the first step, but a "
                    "captured step cannot grow");
}

TEST_CASE("arena: once frozen it cannot move", "[cpu]") {
  Arena arena(kCpu, "training");
  arena.reserve(1 << 20);
  arena.freeze();
  CHECK_NOTHROW(arena.reserve(100));
  CHECK_THROWS_WITH(
      arena.reserve(2 << 20),
      "arena training: reserving 2097152 bytes would move what a captured step reads");

  Arena grown(kCpu, "training");
  grown.allocate_bytes(1 << 20);
  grown.allocate_bytes(1 << 20);
  grown.freeze();
  CHECK_THROWS_WITH(grown.reset(), Catch::Contains("would move what a captured step reads"));
}

}  // namespace masque
