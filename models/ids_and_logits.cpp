#include "models/ids_and_logits.h"

#include <algorithm>
#include <vector>

#include "core/check.h"
#include "core/index.h"

namespace masque {

void check_ids(std::span<const std::int32_t> ids, std::int64_t V) {
  for (const std::int32_t id : ids) {
    CHECK(id >= 0 && id < V, "network: id {} for a vocabulary of {}", id, V);
  }
}

Tensor device_ids(Arena& arena, const Shape& shape, std::span<const std::int32_t> ids) {
  CHECK(shape.count() == std::ssize(ids), "network: {} ids for shape {}", ids.size(), shape);
  Tensor tensor = arena.allocate(shape, DType::i32);
  if (arena.counts_only()) return tensor;
  copy_to_device(arena.device(), tensor.data, ids.data(), ids.size_bytes());
  return tensor;
}

void read_logits(const Device& device, const Tensor& tensor, std::span<const std::size_t> rows,
                 std::span<double> out) {
  const auto V = at(tensor.shape[-1]);
  std::visit(
      [&](auto on) {
        using Real = typename decltype(on)::real;
        std::vector<Real> values(rows.size() * V);
        copy_to_host(device, values.data(), tensor.as<Real>(), values.size() * sizeof(Real));
        for (std::size_t k = 0; k < rows.size(); ++k) {
          std::copy_n(values.data() + k * V, V, out.data() + rows[k] * V);
        }
      },
      device);
}

}  // namespace masque
