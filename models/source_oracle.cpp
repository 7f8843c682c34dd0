#include <algorithm>
#include <cmath>
#include <exception>

#include "core/check.h"
#include "models/source.h"

namespace masque {
namespace {

constexpr double kNever = -1e300;  // finite, so that no softmax makes NaN of it

}  // namespace

Oracle::Oracle(const Source& source, const Tokenizer& tokenizer, std::int64_t context, bool causal)
    : source_(source), tokenizer_(tokenizer), context_(context), causal_(causal) {
  CHECK(context > 0, "Oracle: context {} must be positive", context);
  for (const char32_t character : tokenizer_.symbols()) {
    CHECK(character < 128, "Oracle: character U+{:04X} is not ASCII, which is all a source writes",
          static_cast<std::uint32_t>(character));
  }
}

int Oracle::character_of(std::int32_t id) const {
  CHECK(id >= Tokenizer::kSpecials && id < vocab_size(), "Oracle: id {} is not a character", id);
  return static_cast<int>(
      tokenizer_.symbols()[static_cast<std::size_t>(id - Tokenizer::kSpecials)]);
}

std::vector<double> Oracle::log_probabilities(std::span<const std::int32_t> ids,
                                              std::span<const std::int64_t> positions) const {
  if (!causal_) {
    std::vector<int> known;
    known.reserve(ids.size());
    for (const std::int32_t id : ids) {
      known.push_back(id == Tokenizer::kMask ? -1 : character_of(id));
    }
    return source_.conditionals(known, positions);
  }
  const bool start = !ids.empty() && ids[0] == Tokenizer::kStart;
  std::string read;
  for (const std::int32_t id : ids.subspan(start ? 1 : 0)) {
    read.push_back(static_cast<char>(character_of(id)));
  }
  const std::vector<double> all = source_.predictions(read);
  std::vector<double> rows;
  rows.reserve(positions.size() * Source::kCharacters);
  for (const std::int64_t i : positions) {
    const auto row = all.begin() + (start ? i : i + 1) * Source::kCharacters;
    rows.insert(rows.end(), row, row + Source::kCharacters);
  }
  return rows;
}

void Oracle::write_logits(std::span<const double> log_probabilities,
                          std::span<double> logits) const {
  const auto characters = tokenizer_.symbols();
  const bool possible = std::any_of(log_probabilities.begin(), log_probabilities.end(),
                                    [](double value) { return std::isfinite(value); });
  std::fill(logits.begin(), logits.end(), kNever);
  for (std::size_t k = 0; k < characters.size(); ++k) {
    const double value = possible ? log_probabilities[static_cast<std::size_t>(characters[k])]
                                  : -std::log(static_cast<double>(characters.size()));
    if (std::isfinite(value)) logits[k + Tokenizer::kSpecials] = value;
  }
}

void Oracle::predict(const PredictorInput& input, std::span<double> logits) {
  const std::int64_t B = input.B, T = input.T;
  const auto V = static_cast<std::size_t>(vocab_size());
  CHECK(T > 0 && T <= context_, "Oracle: T {} must be in [1, {}]", T, context_);
  CHECK(static_cast<std::int64_t>(input.ids.size()) == B * T, "Oracle: {} ids are not ({}, {})",
        input.ids.size(), B, T);
  CHECK(input.lengths.empty() || static_cast<std::int64_t>(input.lengths.size()) == B,
        "Oracle: {} lengths for {} sequences", input.lengths.size(), B);
  CHECK(logits.size() == input.rows.size() * V, "Oracle: {} logits are not ({}, {})", logits.size(),
        input.rows.size(), V);

  std::vector<std::vector<std::size_t>> wanted(static_cast<std::size_t>(B));  // rows by sequence
  for (std::size_t k = 0; k < input.rows.size(); ++k) {
    const std::int64_t row = input.rows[k];
    CHECK(row >= 0 && row < B * T, "Oracle: row {} must be in [0, {})", row, B * T);
    wanted[static_cast<std::size_t>(row / T)].push_back(k);
  }
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t b = 0; b < B; ++b) {
    try {
      const auto& rows = wanted[static_cast<std::size_t>(b)];
      const std::int64_t length =
          input.lengths.empty() ? T : input.lengths[static_cast<std::size_t>(b)];
      CHECK(length >= 0 && length <= T, "Oracle: length {} must be in [0, {}]", length, T);
      std::vector<std::int64_t> positions;
      for (const std::size_t k : rows) positions.push_back(input.rows[k] % T);
      for (const std::int64_t i : positions) {
        CHECK(i < length, "Oracle: position {} of a sequence of {} tokens", i, length);
      }
      if (rows.empty()) continue;
      const std::vector<double> table = log_probabilities(
          input.ids.subspan(static_cast<std::size_t>(b * T), static_cast<std::size_t>(length)),
          positions);
      for (std::size_t k = 0; k < rows.size(); ++k) {
        write_logits({&table[k * Source::kCharacters], Source::kCharacters},
                     logits.subspan(rows[k] * V, V));
      }
    } catch (...) {
#pragma omp critical
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace masque
