// What is said where memory runs out: how much was asked for, by what, and what to change.
#pragma once

#include <cstddef>
#include <new>
#include <stdexcept>
#include <string>

namespace masque {

// What to change for less of it.
inline constexpr const char* kSmallerModel = "lower layers or width";
inline constexpr const char* kSmallerStep =
    "lower batch (a larger accumulation makes up for it) or context, or take --dtype bf16";
inline constexpr const char* kFewerTexts = "ask for fewer texts at once (--n)";

std::string readable_bytes(std::size_t bytes);  // 960 bytes, 12.5 KiB, 1.2 GiB

// Error: "out of memory: WHAT: 1.2 GiB more are asked for: MEND". where: "" or " on the GPU".
[[noreturn]] void out_of_memory(const std::string& what, std::size_t bytes, const std::string& mend,
                                const std::string& where = "");

// Runs work, which takes about `bytes` of host memory; where there is none, as above.
template <class Work>
decltype(auto) taking_memory(const std::string& what, std::size_t bytes, const std::string& mend,
                             Work work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    out_of_memory(what, bytes, mend);
  } catch (const std::length_error&) {
    out_of_memory(what, bytes, mend);
  }
}

}  // namespace masque
