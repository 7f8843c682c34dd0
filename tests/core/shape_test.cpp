#include "core/shape.h"

#include "core/tensor.h"
#include "tests/support/catch.h"

namespace masque {

TEST_CASE("shape: sizes, count and text", "[cpu]") {
  const Shape shape{8, 256, 512};
  CHECK(shape.rank() == 3);
  CHECK(shape[0] == 8);
  CHECK(shape[-1] == 512);
  CHECK(shape.count() == 8 * 256 * 512);
  CHECK(shape.to_string() == "(8, 256, 512)");
  CHECK(shape == Shape{8, 256, 512});
  CHECK_FALSE(shape == Shape{8, 256});
  CHECK_FALSE(Shape{1} == Shape{1, 1});
}

TEST_CASE("shape: rank 0 counts one element, a size of 0 none", "[cpu]") {
  CHECK(Shape().count() == 1);
  CHECK(Shape().to_string() == "()");
  CHECK(Shape{3, 0}.count() == 0);
}

TEST_CASE("shape: what is not a shape is refused by name", "[cpu]") {
  CHECK_THROWS_WITH((Shape{1, 2, 3, 4, 5}), "shape: rank 5 is above 4");
  CHECK_THROWS_WITH((Shape{2, -1}), "shape: size -1 is negative");
  CHECK_THROWS_WITH((Shape{2, 3}[2]), "shape: axis 2 of (2, 3)");
  CHECK_THROWS_WITH((Shape{2, 3}[-3]), "shape: axis -3 of (2, 3)");
}

TEST_CASE("tensor: is read as the type that it has", "[cpu]") {
  float value = 1;
  const Tensor tensor{{1}, DType::f32, &value, nullptr, -1};
  CHECK(tensor.as<float>() == &value);
  CHECK(tensor.grad_as<float>() == nullptr);
  CHECK_THROWS_WITH(tensor.as<double>(), "tensor (1): is f32, not f64");
}

}  // namespace masque
