// Text of a network's own in one call: the samples of a training, and what programs that use the
// libraries ask for first. All that can be asked: models/device_sampler.h
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "models/config.h"
#include "models/network.h"
#include "models/sampler.h"
#include "models/tokenizer.h"

namespace masque {

// What an AR network begins a text from that is given nothing: [START], or, where it was trained
// without, a line break, as nanoGPT's sample.py does; nothing where its text has none.
std::optional<std::int32_t> first_token(const TrainingConfig& training, const Tokenizer& tokenizer);

// `prompt` and what follows it, to the end of the network's context. LLaDA writes as all of options
// say, AR as options.draw; given nothing, AR begins from first_token, or else from the first of the
// vocabulary. InputError where the prompt fills the context or has characters unknown to the
// tokenizer.
std::string generate_text(Network& network, const Tokenizer& tokenizer, const RunConfig& config,
                          const std::string& prompt = "", const SampleOptions& options = {});

}  // namespace masque
