// Reverse process on a network's own device: ids, logits, draws and what is revealed stay there.
// The host only launches; it waits once, at the end, or after each step where a Watch wants the ids
// of each. The results and the draws of models/sampler.h, up to the rounding of the logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/network.h"
#include "models/sampler.h"

namespace masque {

// What can: strategies with a plan (ancestral, random, low_confidence, max_prob, margin, entropy),
// in blocks or not. threshold, remask and guidance cannot.
bool generates_on_device(const SampleOptions& options);

// As sample_llada, of what generates_on_device. A step runs all sequences whole, with logits at
// every position, so that each is the same launches: on a GPU a recording, replayed. Of the
// vocabularies of characters that masque has, the rows that are not wanted cost less than launches
// of their own would. Steps that reveal nothing are left out.
SampleResult sample_llada_on_device(Network& network, std::vector<std::int32_t> sequences,
                                    std::int64_t T, std::span<const std::uint8_t> excluded,
                                    const SampleOptions& options, const Watch& watch = {});

// As sample_ar, of a decoder that has read nothing.
SampleResult sample_ar_on_device(Network& network, std::int64_t n,
                                 std::span<const std::int32_t> prompt, std::int64_t length,
                                 std::span<const std::uint8_t> excluded, const DrawOptions& options,
                                 const Watch& watch = {});

// Text of a network, by these on a GPU; else by models/sampler.h, which draws for wanted rows
// alone. What cannot generate on the device has its forwards there and its logits come back at
// every step.
SampleResult generate_llada(Network& network, std::vector<std::int32_t> sequences, std::int64_t T,
                            std::span<const std::uint8_t> excluded, const SampleOptions& options,
                            const Watch& watch = {});
SampleResult generate_ar(Network& network, std::int64_t n, std::span<const std::int32_t> prompt,
                         std::int64_t length, std::span<const std::uint8_t> excluded,
                         const DrawOptions& options, const Watch& watch = {});

}  // namespace masque
