#include "apps/data_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "kernels/backend.h"
#include "kernels/philox.h"
#include "models/dataset.h"

namespace masque {
namespace {

using Tokens = std::span<const std::int32_t>;

constexpr std::int64_t kSampleTokens = 16;
constexpr std::int64_t kPassageTokens = 128;
constexpr const char* kMasked = "░";

// How often each token occurs: (V).
std::vector<std::int64_t> count_tokens(Tokens tokens, std::int64_t vocab_size) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(vocab_size), 0);
  for (const std::int32_t token : tokens) ++counts[static_cast<std::size_t>(token)];
  return counts;
}

double entropy(const std::vector<std::int64_t>& counts) {
  const auto total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  double nats = 0;
  for (const std::int64_t count : counts) {
    if (count == 0) continue;
    const double p = static_cast<double>(count) / total;
    nats -= p * std::log(p);
  }
  return nats;
}

SplitInfo split_info(const std::string& name, Tokens tokens,
                     const std::vector<std::int64_t>& in_train, const Tokenizer& tokenizer,
                     std::int64_t context) {
  SplitInfo split;
  split.name = name;
  split.tokens = static_cast<std::int64_t>(tokens.size());
  if (split.tokens >= context) split.sequences = Sequences(tokens, context, context, 0).count();
  const auto counts = count_tokens(tokens, tokenizer.vocab_size());
  for (std::size_t id = 0; id < counts.size(); ++id) {
    if (counts[id] == 0) continue;
    ++split.symbols;
    if (in_train[id] > 0) {
      ++split.symbols_in_train;
      split.tokens_in_train += counts[id];
    } else {
      split.unseen.push_back(static_cast<std::int32_t>(id));
    }
  }
  return split;
}

// `tokens` as LLaDA sees them at masking ratio t. One draw a position for every t, so what is
// masked at one t is masked at all larger.
std::string masked(Tokens tokens, double t, std::uint64_t seed, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids(tokens.begin(), tokens.end());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto word = philox_word(seed, stream_of(Purpose::mask), 0, 0, i);
    if (word < threshold(t)) ids[i] = Tokenizer::kMask;
  }
  const std::vector<std::string> pieces = tokenizer.pieces(ids);
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    text += ids[i] == Tokenizer::kMask ? kMasked : pieces[i];
  }
  return text;
}

}  // namespace

DataInfo data_info(const std::filesystem::path& file, const InfoOptions& options) {
  if (options.context < 1) {
    throw InputError(fmt::format("--context {}: give at least 1", options.context));
  }
  Corpus corpus = read_corpus(file, options.tokenizer);
  const std::string& text = corpus.text;
  DataInfo info;
  info.file = file.string();
  info.tokenizer = Tokenizer::make(options.tokenizer, text);
  const Tokenizer& tokenizer = info.tokenizer;
  const std::vector<std::int32_t> tokens = tokenizer.encode(text);
  info.bytes = static_cast<std::int64_t>(text.size());
  info.tokens = static_cast<std::int64_t>(tokens.size());
  info.lines = std::count(text.begin(), text.end(), '\n') + (text.back() == '\n' ? 0 : 1);
  info.files = std::move(corpus.files);
  info.left_out = std::move(corpus.left_out);
  const Splits splits = split_tokens(tokens, options.train_fraction, options.val_fraction);
  const auto counts = count_tokens(tokens, tokenizer.vocab_size());
  info.counts.assign(counts.begin() + Tokenizer::kSpecials, counts.end());
  info.unigram_nats = entropy(counts);

  const auto in_train = count_tokens(splits.train, tokenizer.vocab_size());
  info.splits = {split_info("train", splits.train, in_train, tokenizer, options.context),
                 split_info("val", splits.val, in_train, tokenizer, options.context),
                 split_info("test", splits.test, in_train, tokenizer, options.context)};

  const Tokens all = tokens;
  const auto first = [&](std::int64_t count) {
    return all.first(static_cast<std::size_t>(std::min(count, info.tokens)));
  };
  const Tokens sample = first(kSampleTokens);
  info.sample_ids.assign(sample.begin(), sample.end());
  for (const double t : {0.0, 0.3, 0.6, 0.9}) {
    info.passages.push_back({t, masked(first(kPassageTokens), t, options.seed, tokenizer)});
  }
  return info;
}

}  // namespace masque
