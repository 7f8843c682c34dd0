// Which algorithms a GPU's products use. They are chosen by measurement, and another choice gives
// other last bits, so a run writes them down and goes on with the same.
#pragma once

#include <string>

#include "core/device.h"

namespace masque {

// A line that names GPU and library, then a line a product used so far. "" on a CPU.
std::string product_algorithms(const Device& device);
// Takes over such a record. False, and nothing changes, where it is of another GPU or library.
bool use_product_algorithms(const Device& device, const std::string& record);

}  // namespace masque
