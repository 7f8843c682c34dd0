#include "models/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "core/check.h"
#include "kernels/philox.h"
#include "models/config.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

void require_window(std::int64_t count, std::int64_t length) {
  if (length < 1) {
    throw InputError(fmt::format("window length {} must be at least 1", length));
  }
  if (count < length) {
    throw InputError(fmt::format(
        "the text has {} tokens, fewer than a window of {}: use a longer text, a larger share for "
        "this split or a shorter context",
        count, length));
  }
}

// How many of `count` tokens lie in the first `fraction` of them.
std::int64_t share_of(std::int64_t count, double fraction) {
  constexpr double kRounding = 1e-6;  // 0.7 + 0.1 is a little less than 0.8
  return std::min(count, static_cast<std::int64_t>(
                             std::floor(static_cast<double>(count) * fraction + kRounding)));
}

}  // namespace

Splits split_tokens(std::vector<std::int32_t> tokens, double train_fraction, double val_fraction) {
  const bool legal = train_fraction > 0 && train_fraction <= 1 && val_fraction >= 0 &&
                     train_fraction + val_fraction <= 1 + 1e-9;
  if (!legal) {
    throw InputError(fmt::format(
        "train fraction {} and val fraction {}: need train in (0, 1], val at least 0 and "
        "a sum of at most 1",
        train_fraction, val_fraction));
  }
  const auto count = static_cast<std::int64_t>(tokens.size());
  const auto train_end = tokens.begin() + share_of(count, train_fraction);
  const auto val_end = tokens.begin() + share_of(count, train_fraction + val_fraction);
  Splits splits;
  splits.val.assign(train_end, val_end);
  splits.test.assign(val_end, tokens.end());
  tokens.erase(train_end, tokens.end());
  splits.train = std::move(tokens);
  return splits;
}

Splits split_tokens(std::vector<std::int32_t> tokens, const TrainingConfig& training) {
  Splits splits = split_tokens(std::move(tokens), training.train_fraction, training.val_fraction);
  const auto count = static_cast<std::int64_t>(splits.train.size());
  splits.train.resize(static_cast<std::size_t>(share_of(count, training.data_fraction)));
  return splits;
}

void require_sequences(const Splits& splits, const TrainingConfig& training, std::int64_t length,
                       bool and_test) {
  struct Part {
    const char* name;
    std::size_t tokens;
    double fraction;  // of the text
  };
  std::vector<Part> parts = {
      {"train", splits.train.size(), training.train_fraction * training.data_fraction}};
  if (!splits.val.empty()) parts.push_back({"val", splits.val.size(), training.val_fraction});
  if (and_test) {
    parts.push_back(
        {"test", splits.test.size(), 1 - training.train_fraction - training.val_fraction});
  }
  const Part& shortest = *std::min_element(
      parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.tokens < b.tokens; });
  if (static_cast<std::int64_t>(shortest.tokens) >= length) return;
  std::vector<std::string> mends;
  if (shortest.fraction > 1e-9) {
    mends.push_back(fmt::format("give a text of at least {:.0f} tokens",
                                std::ceil(static_cast<double>(length) / shortest.fraction - 1e-6)));
  } else {
    mends.emplace_back("lower train_fraction or val_fraction to leave it some");
  }
  constexpr std::size_t kLeastContext = 8;
  if (shortest.tokens > kLeastContext) {
    mends.push_back(fmt::format("shorter sequences by --preset or --set context={}",
                                std::bit_floor(shortest.tokens - 1)));
  }
  throw InputError(fmt::format("the {} split has {} tokens, fewer than one sequence of {}: {}",
                               shortest.name, shortest.tokens, length, fmt::join(mends, ", or ")));
}

std::vector<Window> cover(std::int64_t count, std::int64_t length) {
  require_window(count, length);
  std::vector<Window> windows;
  windows.reserve(static_cast<std::size_t>(divide_up(count, length)));
  for (std::int64_t begin = 0; begin + length <= count; begin += length) {
    windows.push_back({begin, length, 0});
  }
  if (const std::int64_t rest = count % length; rest > 0) {
    windows.push_back({count - length, length, length - rest});
  }
  return windows;
}

std::vector<Window> subset(const std::vector<Window>& windows, std::int64_t limit) {
  CHECK(limit >= 0, "subset: limit {} must not be negative", limit);
  const auto count = static_cast<std::int64_t>(windows.size());
  if (limit == 0 || limit >= count) return windows;
  std::vector<Window> chosen;
  chosen.reserve(static_cast<std::size_t>(limit));
  for (std::int64_t i = 0; i < limit; ++i) {
    chosen.push_back(windows[static_cast<std::size_t>((2 * i + 1) * count / (2 * limit))]);
  }
  return chosen;
}

Sequences::Sequences(std::span<const std::int32_t> tokens, std::int64_t length, std::int64_t stride,
                     std::uint64_t seed)
    : tokens_(tokens), length_(length), stride_(stride), count_(0), seed_(seed) {
  const auto total = static_cast<std::int64_t>(tokens.size());
  require_window(total, length);
  if (stride < 0) {
    throw InputError(fmt::format("stride {} must be 0 (random crops) or more", stride));
  }
  // Starts inside the text, up to the first sequence that reaches its end.
  const std::int64_t step = stride > 0 ? stride : length;
  count_ = std::min(1 + divide_up(total - length, step), divide_up(total, step));
}

Sequences::Place Sequences::find(std::int64_t index) const {
  CHECK(index >= 0, "Sequences: index {} must not be negative", index);
  const auto total = static_cast<std::int64_t>(tokens_.size());
  std::int64_t begin = 0;
  if (stride_ > 0) {
    begin = stride_ *
            permuted(index % count_, count_, seed_, static_cast<std::uint32_t>(index / count_));
  } else {
    const auto word = static_cast<std::uint64_t>(index);
    const auto draw =
        philox(seed_, {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32), 0,
                       stream_of(Purpose::data, 1)});
    const auto starts = static_cast<std::uint64_t>(total - length_ + 1);
    begin = static_cast<std::int64_t>(((std::uint64_t{draw[0]} << 32) | draw[1]) % starts);
  }
  return {begin, std::min(length_, total - begin)};
}

void Sequences::read(const Place& place, std::int32_t* tokens) const {
  std::copy_n(tokens_.begin() + place.begin, place.real, tokens);
  std::fill(tokens + place.real, tokens + length_, Tokenizer::kPad);
}

std::int64_t Sequences::read(std::int64_t index, std::int32_t* tokens) const {
  const Place place = find(index);
  read(place, tokens);
  return place.real;
}

std::int64_t permuted(std::int64_t index, std::int64_t count, std::uint64_t seed,
                      std::uint32_t epoch) {
  CHECK(index >= 0 && index < count, "permuted: index {} must be in [0, {})", index, count);
  CHECK(count <= std::int64_t{1} << 62, "permuted: count {} is past 2^62", count);
  constexpr std::uint32_t kRounds = 6;
  int half = 3;  // bits of each half; a wider network than tiny counts need mixes them better
  while ((std::int64_t{1} << (2 * half)) < count) ++half;
  const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
  auto value = static_cast<std::uint64_t>(index);
  do {
    std::uint64_t left = value >> half;
    std::uint64_t right = value & mask;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const auto word = philox(
          seed, {static_cast<std::uint32_t>(right), round, epoch, stream_of(Purpose::data, 0)})[0];
      const std::uint64_t mixed = left ^ (word & mask);
      left = right;
      right = mixed;
    }
    value = (left << half) | right;
  } while (value >= static_cast<std::uint64_t>(count));
  return static_cast<std::int64_t>(value);
}

}  // namespace masque
