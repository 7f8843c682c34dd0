#include "models/generate_text.h"

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/check.h"
#include "models/device_sampler.h"

namespace masque {

std::optional<std::int32_t> first_token(const TrainingConfig& training,
                                        const Tokenizer& tokenizer) {
  if (training.start_token) return Tokenizer::kStart;
  return tokenizer.line_break();
}

std::string generate_text(Network& network, const Tokenizer& tokenizer, const RunConfig& config,
                          const std::string& prompt, const SampleOptions& options) {
  const std::int64_t context = config.model.context;
  std::vector<std::int32_t> ids = tokenizer.encode(prompt);
  if (static_cast<std::int64_t>(ids.size()) >= context) {
    throw InputError(fmt::format(
        "the prompt has {} tokens and the model's context is {}: shorten it", ids.size(), context));
  }
  const std::vector<std::uint8_t> excluded = tokenizer.excluded();
  if (config.model.objective == ObjectiveKind::llada) {
    ids.resize(static_cast<std::size_t>(context), Tokenizer::kMask);
    return tokenizer.decode(
        generate_llada(network, std::move(ids), context, excluded, options).ids);
  }
  const std::size_t unwritten = config.training.start_token ? 1 : 0;
  if (unwritten == 1 || ids.empty()) {
    const std::int32_t otherwise = Tokenizer::kSpecials;  // the first of the text's own
    ids.insert(ids.begin(), first_token(config.training, tokenizer).value_or(otherwise));
  }
  const auto length = context - static_cast<std::int64_t>(ids.size() - unwritten);
  const SampleResult result = generate_ar(network, 1, ids, length, excluded, options.draw);
  return tokenizer.decode(std::span(result.ids).subspan(unwritten));
}

}  // namespace masque
