// Text of a network's own in one call: the samples of a training, and what programs that use the
// libraries ask for first. All that can be asked: models/device_sampler.h
#pragma once

#include <string>

#include "models/config.h"
#include "models/network.h"
#include "models/sampler.h"
#include "models/tokenizer.h"

namespace masque {

// `prompt` and what follows it, to the end of the network's context. LLaDA writes as all of options
// say, AR as options.draw. Without [START] an AR network that is given nothing begins from a line
// break, as nanoGPT's sample.py does. InputError where the prompt fills the context or has
// characters unknown to the tokenizer.
std::string generate_text(Network& network, const Tokenizer& tokenizer, const RunConfig& config,
                          const std::string& prompt = "", const SampleOptions& options = {});

}  // namespace masque
