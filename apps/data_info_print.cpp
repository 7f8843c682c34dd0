#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/common.h"
#include "apps/data_info.h"
#include "models/tokenizer.h"
#include "models/utf8.h"

namespace masque {
namespace {

constexpr std::size_t kLineWidth = 76;

// A character in a list: the invisible ones by name.
std::string visible(const std::string& character) {
  if (character == " ") return "space";
  const std::string quoted = describe(decode_utf8(character).front());  // "x" (U+0078)
  return quoted.substr(1, quoted.rfind('"') - 1);
}

// One column a character, so that passages compare position by position.
std::string flat(char32_t character) {
  if (character == U'\n') return "↵";
  const bool control = character < 0x20 || (character >= 0x7F && character < 0xA0);
  return control ? "·" : encode_utf8({&character, 1});
}

void print_characters(const std::vector<std::string>& vocabulary) {
  constexpr std::size_t kMost = 200;
  std::string line;
  for (std::size_t k = 0; k < std::min(vocabulary.size(), kMost); ++k) {
    const std::string shown = visible(vocabulary[k]);
    if (line.size() + shown.size() > kLineWidth) {
      fmt::print(" {}\n", line);
      line.clear();
    }
    line += " " + shown;
  }
  fmt::print(" {}\n", line);
  if (vocabulary.size() > kMost) fmt::print("  … and {} more\n", vocabulary.size() - kMost);
}

void print_most_common(const DataInfo& info) {
  std::vector<std::size_t> order(info.counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return info.counts[a] > info.counts[b]; });
  order.resize(std::min<std::size_t>(order.size(), 6));
  std::string list;
  for (const std::size_t k : order) {
    list += fmt::format(
        "{}{} {:.1f}%", list.empty() ? "" : ", ", visible(info.vocabulary[k]),
        100.0 * static_cast<double>(info.counts[k]) / static_cast<double>(info.characters));
  }
  fmt::print("  most common      {}\n", list);
}

void print_splits(const DataInfo& info, std::int64_t context) {
  fmt::print("\nSplits, in the order of the text; sequences of {} tokens\n", context);
  fmt::print("  {:<6}{:>12}{:>8}{:>12}   {}\n", "split", "tokens", "share", "sequences",
             "distinct characters");
  for (const SplitInfo& split : info.splits) {
    const double share =
        100.0 * static_cast<double>(split.tokens) / static_cast<double>(info.characters);
    std::string coverage = split.tokens == 0 ? "empty" : std::to_string(split.characters);
    if (split.name != "train" && split.tokens > 0) {
      coverage += fmt::format(
          ", of them {} in train ({:.4g}% of its tokens)", split.characters_in_train,
          100.0 * static_cast<double>(split.tokens_in_train) / static_cast<double>(split.tokens));
    }
    fmt::print("  {:<6}{:>12}{:>7.1f}%{:>12}   {}\n", split.name, grouped(split.tokens), share,
               split.sequences > 0 ? grouped(split.sequences) : "too short", coverage);
  }
  for (const SplitInfo& split : info.splits) {
    if (split.unseen.empty()) continue;
    std::string list;
    for (const char32_t character : decode_utf8(split.unseen)) {
      list += " " + visible(encode_utf8({&character, 1}));
    }
    fmt::print("  {} has characters that train lacks:{}\n", split.name, list);
  }
}

void print_sample(const DataInfo& info) {
  std::string characters, ids;
  for (std::size_t k = 0; k < info.sample.size(); ++k) {
    const std::string shown = visible(info.sample[k]);
    const std::string id = std::to_string(info.sample_ids[k]);
    const std::size_t length = decode_utf8(shown).size();
    const std::size_t width = std::max(length, id.size()) + 1;
    characters += std::string(width - length, ' ') + shown;
    ids += std::string(width - id.size(), ' ') + id;
  }
  fmt::print("\nThe first characters, and the ids a model reads\n  {}\n  {}\n", characters, ids);
}

void print_passages(const DataInfo& info, std::uint64_t seed) {
  constexpr std::size_t kColumns = 64;
  fmt::print("\nA passage masked at ratio t (seed {}), as LLaDA reads it; ↵ ends a line\n", seed);
  for (const MaskedPassage& passage : info.passages) {
    const std::u32string text = decode_utf8(passage.text);
    std::string lines;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i > 0 && i % kColumns == 0) lines += "\n" + std::string(10, ' ');
      lines += flat(text[i]);
    }
    fmt::print("  t = {:.1f} {}\n", passage.t, lines);
  }
}

}  // namespace

void print_info(const DataInfo& info, const InfoOptions& options) {
  fmt::print("{}\n\n", info.file);
  fmt::print("  characters       {} in {} lines, {} bytes\n", grouped(info.characters),
             grouped(info.lines), grouped(info.bytes));
  fmt::print("  vocabulary       {}: {} characters, and [PAD] [MASK] [START] [END]\n",
             info.vocabulary.size() + Tokenizer::kSpecials, info.vocabulary.size());
  print_most_common(info);
  fmt::print(
      "  unigram entropy  {:.4f} nats a character ({:.4f} bits): what their shares alone tell\n",
      info.unigram_nats, info.unigram_nats / std::log(2.0));
  fmt::print("\nCharacters, in the order of their ids (from {})\n", +Tokenizer::kSpecials);
  print_characters(info.vocabulary);
  print_splits(info, options.context);
  print_sample(info);
  print_passages(info, options.seed);
}

void print_info_json(const DataInfo& info, const InfoOptions& options) {
  nlohmann::ordered_json json;
  json["file"] = info.file;
  json["bytes"] = info.bytes;
  json["characters"] = info.characters;
  json["lines"] = info.lines;
  json["vocab_size"] = info.vocabulary.size() + Tokenizer::kSpecials;
  json["vocabulary"] = info.vocabulary;
  json["unigram_nats"] = info.unigram_nats;
  json["context"] = options.context;
  for (const SplitInfo& split : info.splits) {
    auto& entry = json["splits"][split.name];
    entry["tokens"] = split.tokens;
    entry["sequences"] = split.sequences;
    entry["characters"] = split.characters;
    entry["characters_in_train"] = split.characters_in_train;
    entry["tokens_in_train"] = split.tokens_in_train;
    entry["unseen"] = split.unseen;
  }
  json["sample"]["characters"] = info.sample;
  json["sample"]["ids"] = info.sample_ids;
  json["seed"] = options.seed;
  for (const MaskedPassage& passage : info.passages) {
    json["masked"].push_back({{"t", passage.t}, {"text", passage.text}});
  }
  fmt::print("{}\n", json.dump());
}

}  // namespace masque
