#include "core/parameter.h"

#include <cstdint>
#include <vector>

#include "tests/support/catch.h"

namespace masque {
namespace {

const Device kCpu = On<Cpu, float>{};

}  // namespace

TEST_CASE("parameters: matrices come first, each on its own cache line, masters beside gradients",
          "[cpu]") {
  ParameterStore store(kCpu);
  Parameter& bias = store.add("bias", {3}, false);
  Parameter& weight = store.add("weight", {5, 7}, true);
  Parameter& scale = store.add("scale", {17}, false);
  store.allocate();

  CHECK(store.count() == 3 + 35 + 17);
  CHECK(store.matrix_count() == 48);
  CHECK(store.arena_count() == 48 + 16 + 32);
  CHECK(store.offset_of(weight) == 0);
  CHECK(store.offset_of(bias) == 48);
  CHECK(store.offset_of(scale) == 64);
  for (const Parameter& parameter : store.parameters()) {
    CHECK(reinterpret_cast<std::uintptr_t>(parameter.master.data) % 64 == 0);
    CHECK(parameter.master.shape == parameter.shape);
    CHECK(parameter.grad.as<float>() - static_cast<float*>(store.grads()) ==
          parameter.master.as<float>() - static_cast<float*>(store.masters()));
    CHECK(parameter.compute.data == parameter.master.data);
  }
}

TEST_CASE("parameters: start at zero, and zero_grad clears gradients alone", "[cpu]") {
  ParameterStore store(kCpu);
  Parameter& weight = store.add("weight", {2, 2}, true);
  store.allocate();
  CHECK(weight.master.as<float>()[3] == 0);
  CHECK(weight.grad.as<float>()[3] == 0);
  weight.master.as<float>()[3] = 5;
  weight.grad.as<float>()[3] = 6;
  store.zero_grad();
  CHECK(weight.master.as<float>()[3] == 5);
  CHECK(weight.grad.as<float>()[3] == 0);
}

TEST_CASE("parameters: values go in and come out as doubles", "[cpu]") {
  for (const Device& device : {kCpu, Device{On<Cpu, double>{}}}) {
    ParameterStore store(device);
    Parameter& weight = store.add("weight", {2, 2}, true);
    store.allocate();
    const std::vector<double> values = {1, -2, 0.5, 1024};
    store.write(weight, values);
    CHECK(store.read(weight) == values);
    CHECK(weight.master.dtype == param_dtype(device));
  }
}

TEST_CASE("parameters: a name declared twice, or after allocate(), is refused", "[cpu]") {
  ParameterStore store(kCpu);
  store.add("weight", {2, 2}, true);
  CHECK_THROWS_WITH(store.add("weight", {3}, false), "parameter weight: declared twice");
  store.allocate();
  CHECK_THROWS_WITH(store.add("bias", {3}, false), "parameter bias: added after allocate()");
}

}  // namespace masque
