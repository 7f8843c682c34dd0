// masque-bench decode: text out of a model, token by token (AR) or step by step (LLaDA).
#pragma once

#include <CLI/CLI.hpp>

namespace masque::bench {

void add_decode_command(CLI::App& app);

}  // namespace masque::bench
