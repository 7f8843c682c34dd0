#include "models/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

constexpr std::int64_t kMostSteps = 1 << 24;  // as many as the longest context has masks

void check_draw(const DrawOptions& options) {
  if (!(options.temperature >= 0) || std::isinf(options.temperature)) {
    throw InputError(
        fmt::format("temperature is {}: give 0 (most probable) or more", options.temperature));
  }
  if (options.top_k < 0) {
    throw InputError(fmt::format("top-k is {}: give 0 (all tokens) or more", options.top_k));
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    throw InputError(
        fmt::format("top-p is {}: give a share above 0, at most 1 (all tokens)", options.top_p));
  }
}

// Guidance compares with the same state without what is given, so something must be.
void check_guidance(std::span<const std::int32_t> sequences, std::int64_t T, double guidance) {
  if (!(guidance >= 0) || std::isinf(guidance)) {
    throw InputError(fmt::format("guidance (cfg) is {}: give 0 (none) or more", guidance));
  }
  if (guidance == 0) return;
  for (std::size_t first = 0; first < sequences.size(); first += at(T)) {
    const auto sequence = sequences.subspan(first, at(T));
    if (std::count(sequence.begin(), sequence.end(), Tokenizer::kMask) == T) {
      throw InputError(fmt::format(
          "guidance (cfg) is {} and no token is given to guide by: give a prompt or a template",
          guidance));
    }
  }
}

}  // namespace

void check_llada_request(std::span<const std::int32_t> sequences, std::int64_t T,
                         const Predictor& predictor, std::span<const std::uint8_t> excluded,
                         const SampleOptions& options) {
  CHECK(T >= 1 && T <= predictor.context(), "sample: length {} must be 1 to the context, {}", T,
        predictor.context());
  CHECK(sequences.size() % at(T) == 0, "sample: {} ids are no whole sequences of {}",
        sequences.size(), T);
  CHECK(static_cast<std::int64_t>(excluded.size()) == predictor.vocab_size() &&
            excluded[at(Tokenizer::kMask)] != 0,
        "sample: [MASK] must be among the exclusions ({}, for a vocabulary of {})", excluded.size(),
        predictor.vocab_size());
  check_draw(options.draw);
  if (options.steps < 0 || options.steps > kMostSteps) {
    throw InputError(
        fmt::format("steps is {}: give 1 to {}, or 0 for one a mask", options.steps, kMostSteps));
  }
  if (options.block_length < 0) {
    throw InputError(fmt::format("block length is {}: give at least 1, or 0 for one block of all",
                                 options.block_length));
  }
  check_guidance(sequences, T, options.guidance);
}

void check_ar_request(std::int64_t n, std::span<const std::int32_t> prompt, std::int64_t length,
                      std::int64_t vocab_size, std::span<const std::uint8_t> excluded,
                      const DrawOptions& options) {
  CHECK(n >= 1 && !prompt.empty() && length >= 0,
        "sample: {} rows of {} prompt tokens and {} more; need 1, 1 and 0", n, prompt.size(),
        length);
  CHECK(static_cast<std::int64_t>(excluded.size()) == vocab_size,
        "sample: {} exclusions for a vocabulary of {}", excluded.size(), vocab_size);
  check_draw(options);
}

std::vector<Block> blocks_of(std::span<const std::int64_t> masked, std::int64_t length,
                             std::int64_t steps) {
  std::vector<Block> blocks;
  std::int64_t last = -1;
  for (const std::int64_t position : masked) {
    const std::int64_t block = length > 0 ? position / length : 0;
    if (block != last) blocks.emplace_back();
    last = block;
    blocks.back().masked.push_back(position);
  }
  const auto masks = static_cast<std::int64_t>(masked.size());
  const auto count = static_cast<std::int64_t>(blocks.size());
  if (steps == 0) steps = masks;
  if (steps < count) {
    throw InputError(fmt::format(
        "steps is {} and {} blocks of length {} have blanks: give at least one step a block", steps,
        count, length));
  }
  // One each; what is left by the masks that remain, its sums rounded down. As many steps as masks
  // are one a mask.
  const std::int64_t spare = steps - count, others = masks - count;
  std::int64_t others_so_far = 0, spare_given = 0, first_step = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    Block& block = blocks[at(k)];
    others_so_far += static_cast<std::int64_t>(block.masked.size()) - 1;
    const std::int64_t goal = others > 0 ? spare * others_so_far / others : spare * (k + 1) / count;
    block.first_step = first_step;
    block.steps = 1 + goal - spare_given;
    first_step += block.steps;
    spare_given = goal;
  }
  return blocks;
}

MaskedStart::MaskedStart(std::span<const std::int32_t> sequences, std::int64_t T,
                         const SampleOptions& options) {
  for (std::size_t first = 0; first < sequences.size(); first += at(T)) {
    std::vector<std::int64_t> masked;
    for (std::int64_t i = 0; i < T; ++i) {
      if (sequences[first + at(i)] == Tokenizer::kMask) masked.push_back(i);
    }
    blocks.push_back(blocks_of(masked, options.block_length, options.steps));
    if (!blocks.back().empty()) {
      const Block& last = blocks.back().back();
      steps = std::max(steps, last.first_step + last.steps);
    }
  }
}

}  // namespace masque
