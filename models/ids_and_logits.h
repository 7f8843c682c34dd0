// What goes into a network and what comes out, between host and device.
#pragma once

#include <cstdint>
#include <span>

#include "core/arena.h"

namespace masque {

// Error where an id is not in 0 … V−1.
void check_ids(std::span<const std::int32_t> ids, std::int64_t V);

// i32 ids where the network is; Error where they do not fill `shape`.
Tensor device_ids(Arena& arena, const Shape& shape, std::span<const std::int32_t> ids);

// Row k of activations (…,V), as doubles on the host, becomes row rows[k] of `out`.
void read_logits(const Device& device, const Tensor& tensor, std::span<const std::size_t> rows,
                 std::span<double> out);

}  // namespace masque
