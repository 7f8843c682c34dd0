// What produced a run: for environment.json and --version.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/device.h"

namespace masque {

std::string version_number();  // "0.1.0"
std::string version();         // "masque 0.1.0 (commit, compiler, build type)"
// --version: what this is, how it was built, and what it uses here, in lines.
std::string version_text();
const char* cuda_backend();  // none, emulated or nvcc
// The program and the machine, as flat keys.
nlohmann::json environment(const Device& device);
// And what was typed, where and when, which environment variables count, and the SHA-256 (null
// where it cannot be had) of a file that is given, or of a folder's files as they are joined: what
// it takes to run it again.
nlohmann::json run_environment(const Device& device, const std::string& data_file = {},
                               const std::string& tokenizer = "char");
// The environment.json of a run that goes on from `step`: what it was, and in "resumed" what it is
// now. A file that is damaged is begun anew.
nlohmann::json resumed_environment(const std::filesystem::path& file, std::int64_t step,
                                   const Device& device);

}  // namespace masque
