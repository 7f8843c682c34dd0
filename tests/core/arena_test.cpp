#include "core/arena.h"

#include <cstdint>

#include "tests/support/catch.h"

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

}  // namespace masque
