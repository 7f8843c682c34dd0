// How often the host has waited for the emulated device: what a test counts to show that work on a
// GPU goes on without it.
#pragma once

#include <cstdint>

namespace masque::emulator {

// Calls so far that waited: synchronise, free, copies to pageable memory.
std::uint64_t host_waits();

}  // namespace masque::emulator
