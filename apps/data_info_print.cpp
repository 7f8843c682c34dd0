#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/common.h"
#include "apps/data_info.h"
#include "models/utf8.h"

namespace masque {
namespace {

constexpr std::size_t kLineWidth = 76;

// A symbol in a list: the invisible ones by name, bytes that are no ASCII by number.
std::string visible(char32_t symbol, bool byte) {
  if (symbol == U' ') return "space";
  if (byte && symbol >= 0x7F) return fmt::format("\\x{:02x}", static_cast<std::uint32_t>(symbol));
  const std::string quoted = describe(symbol);  // "x" (U+0078)
  return quoted.substr(1, quoted.rfind('"') - 1);
}

std::string visible(const Tokenizer& tokenizer, std::int32_t id) {
  return visible(tokenizer.symbols()[static_cast<std::size_t>(id - Tokenizer::kSpecials)],
                 tokenizer.bytes());
}

// One column a character, so that passages compare position by position.
std::string flat(char32_t character) {
  if (character == U'\n') return "↵";
  return is_control(character) ? "·" : encode_utf8({&character, 1});
}

constexpr std::size_t kMostFiles = 20;

void print_files(const DataInfo& info) {
  if (info.files.empty()) return;
  const auto print_some = [](const auto& list, const auto& line) {
    for (std::size_t k = 0; k < std::min(list.size(), kMostFiles); ++k) line(list[k]);
    if (list.size() > kMostFiles) fmt::print("  … and {} more\n", list.size() - kMostFiles);
  };
  fmt::print("\nFiles, in the order in which they are joined, an empty line between two\n");
  print_some(info.files, [](const Corpus::File& file) {
    fmt::print("  {:>15}  {}\n", grouped(file.bytes), file.name);
  });
  if (info.left_out.empty()) return;
  fmt::print("\nLeft out\n");
  print_some(info.left_out,
             [](const Corpus::LeftOut& file) { fmt::print("  {} {}\n", file.name, file.why); });
}

void print_symbols(const DataInfo& info) {
  constexpr std::size_t kMost = 200;
  std::string line;
  std::size_t count = 0;  // of those that occur
  for (std::size_t k = 0; k < info.counts.size(); ++k) {
    if (info.counts[k] == 0 || ++count > kMost) continue;
    const std::string shown = visible(info.tokenizer.symbols()[k], info.tokenizer.bytes());
    if (line.size() + shown.size() > kLineWidth) {
      fmt::print(" {}\n", line);
      line.clear();
    }
    line += " " + shown;
  }
  fmt::print(" {}\n", line);
  if (count > kMost) fmt::print("  … and {} more\n", count - kMost);
}

void print_most_common(const DataInfo& info) {
  std::vector<std::size_t> order(info.counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return info.counts[a] > info.counts[b]; });
  order.resize(std::min<std::size_t>(order.size(), 6));
  std::string list;
  for (const std::size_t k : order) {
    if (info.counts[k] == 0) break;
    list +=
        fmt::format("{}{} {:.1f}%", list.empty() ? "" : ", ",
                    visible(info.tokenizer.symbols()[k], info.tokenizer.bytes()),
                    100.0 * static_cast<double>(info.counts[k]) / static_cast<double>(info.tokens));
  }
  fmt::print("  most common      {}\n", list);
}

void print_splits(const DataInfo& info, std::int64_t context) {
  fmt::print("\nSplits, in the order of the text; sequences of {} tokens\n", context);
  const std::string units = std::string(info.tokenizer.unit()) + "s";
  fmt::print("  {:<6}{:>12}{:>8}{:>12}   distinct {}\n", "split", "tokens", "share", "sequences",
             units);
  for (const SplitInfo& split : info.splits) {
    const double share =
        100.0 * static_cast<double>(split.tokens) / static_cast<double>(info.tokens);
    std::string coverage = split.tokens == 0 ? "empty" : std::to_string(split.symbols);
    if (split.name != "train" && split.tokens > 0) {
      coverage += fmt::format(
          ", of them {} in train ({:.4g}% of its tokens)", split.symbols_in_train,
          100.0 * static_cast<double>(split.tokens_in_train) / static_cast<double>(split.tokens));
    }
    fmt::print("  {:<6}{:>12}{:>7.1f}%{:>12}   {}\n", split.name, grouped(split.tokens), share,
               split.sequences > 0 ? grouped(split.sequences) : "too short", coverage);
  }
  for (const SplitInfo& split : info.splits) {
    if (split.unseen.empty()) continue;
    std::string list;
    for (const std::int32_t id : split.unseen) list += " " + visible(info.tokenizer, id);
    fmt::print("  {} has {} that train lacks:{}\n", split.name, units, list);
  }
}

void print_sample(const DataInfo& info) {
  std::string symbols, ids;
  for (const std::int32_t token : info.sample_ids) {
    const std::string shown = visible(info.tokenizer, token);
    const std::string id = std::to_string(token);
    const std::size_t length = decode_utf8(shown).size();
    const std::size_t width = std::max(length, id.size()) + 1;
    symbols += std::string(width - length, ' ') + shown;
    ids += std::string(width - id.size(), ' ') + id;
  }
  fmt::print("\nThe first {}s, and the ids a model reads\n  {}\n  {}\n", info.tokenizer.unit(),
             symbols, ids);
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
  const bool bytes = info.tokenizer.bytes();
  const char* const unit = info.tokenizer.unit();
  const auto symbols = std::ssize(info.tokenizer.symbols());
  const auto occurring = symbols - std::count(info.counts.begin(), info.counts.end(), 0);
  fmt::print("{}\n\n", info.file);
  if (bytes) {
    fmt::print("  bytes            {} in {} lines\n", grouped(info.bytes), grouped(info.lines));
  } else {
    fmt::print("  characters       {} in {} lines, {} bytes\n", grouped(info.tokens),
               grouped(info.lines), grouped(info.bytes));
  }
  fmt::print("  vocabulary       {}: {} {}s{}, and [PAD] [MASK] [START] [END]\n",
             info.tokenizer.vocab_size(), symbols, unit,
             bytes ? fmt::format(", of which {} occur", occurring) : "");
  print_most_common(info);
  fmt::print("  unigram entropy  {:.4f} nats a {} ({:.4f} bits): what their shares alone tell\n",
             info.unigram_nats, unit, info.unigram_nats / std::log(2.0));
  print_files(info);
  if (bytes) {
    fmt::print("\nBytes that occur; the id of a byte is its value and {}\n", +Tokenizer::kSpecials);
  } else {
    fmt::print("\nCharacters, in the order of their ids (from {})\n", +Tokenizer::kSpecials);
  }
  print_symbols(info);
  print_splits(info, options.context);
  print_sample(info);
  print_passages(info, options.seed);
}

void print_info_json(const DataInfo& info, const InfoOptions& options) {
  nlohmann::ordered_json json;
  const auto shown = [&](std::int32_t id) { return info.tokenizer.decode({&id, 1}); };
  json["file"] = info.file;
  for (const Corpus::File& file : info.files) {
    json["files"].push_back({{"name", file.name}, {"bytes", file.bytes}});
  }
  for (const Corpus::LeftOut& file : info.left_out) {
    json["left_out"].push_back({{"name", file.name}, {"why", file.why}});
  }
  json["tokenizer"] = info.tokenizer.kind();
  json["bytes"] = info.bytes;
  json["tokens"] = info.tokens;
  json["lines"] = info.lines;
  json["vocab_size"] = info.tokenizer.vocab_size();
  if (!info.tokenizer.bytes()) {
    for (const char32_t symbol : info.tokenizer.symbols()) {
      json["vocabulary"].push_back(encode_utf8({&symbol, 1}));
    }
  }
  json["unigram_nats"] = info.unigram_nats;
  json["context"] = options.context;
  for (const SplitInfo& split : info.splits) {
    auto& entry = json["splits"][split.name];
    entry["tokens"] = split.tokens;
    entry["sequences"] = split.sequences;
    entry["symbols"] = split.symbols;
    entry["symbols_in_train"] = split.symbols_in_train;
    entry["tokens_in_train"] = split.tokens_in_train;
    entry["unseen"] = split.unseen;
  }
  for (const std::int32_t id : info.sample_ids) json["sample"]["text"].push_back(shown(id));
  json["sample"]["ids"] = info.sample_ids;
  json["seed"] = options.seed;
  for (const MaskedPassage& passage : info.passages) {
    json["masked"].push_back({{"t", passage.t}, {"text", passage.text}});
  }
  fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace masque
