#include "apps/sample/recording.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/json.h"
#include "apps/sample/request.h"
#include "models/utf8.h"

namespace masque {
namespace {

// Ids as text, and where in it, in characters, each begins; the last: where the text ends.
struct Shown {
  std::string text;
  std::vector<std::size_t> begins;  // (T+1)
};

Shown show(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  Shown shown;
  shown.begins.push_back(0);
  const std::vector<std::string> pieces = tokenizer.pieces(ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::string token;
    if (ids[i] == Tokenizer::kMask) {
      token = kBlank;
    } else if (ids[i] != Tokenizer::kStart) {
      token = pieces[i];
    }
    shown.text += token;
    shown.begins.push_back(shown.begins.back() + decode_utf8(token).size());
  }
  return shown;
}

}  // namespace

std::string with_blanks(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  return show(tokenizer, ids).text;
}

Recording::Recording(std::vector<std::int32_t> start, std::int64_t n)
    : start_(std::move(start)), now_(start_), changes_(static_cast<std::size_t>(n)) {}

void Recording::add(const StepReport& report) {
  ++step_;
  const std::size_t T = now_.size() / changes_.size();
  for (std::size_t i = 0; i < now_.size(); ++i) {
    const std::int32_t token = report.sequences[i];
    // A token masked and written again within a step may be the same.
    if (token == now_[i] && std::isnan(report.probabilities[i])) continue;
    changes_[i / T].push_back({step_, i % T, token, report.probabilities[i]});
    now_[i] = token;
  }
}

nlohmann::json Recording::frames(const Tokenizer& tokenizer, std::int64_t sequence) const {
  using Json = nlohmann::json;
  const std::size_t T = start_.size() / changes_.size();
  const auto number_of_it = static_cast<std::size_t>(sequence);
  const auto given = std::span(start_).subspan(number_of_it * T, T);
  std::vector<std::int32_t> ids(given.begin(), given.end());
  Json frames = Json::array();
  const auto add = [&](std::int64_t step, std::span<const Change> changes) {
    const Shown shown = show(tokenizer, ids);
    Json fresh = Json::array(), confidence = Json::array();
    for (const Change& change : changes) {
      if (change.token == Tokenizer::kMask) continue;
      const auto [begin, end] =
          std::pair(shown.begins[change.position], shown.begins[change.position + 1]);
      for (std::size_t at = begin; at < end; ++at) {
        fresh.push_back(at);
        confidence.push_back(Json(number(change.probability)));
      }
    }
    frames.push_back(
        {{"step", step}, {"text", shown.text}, {"fresh", fresh}, {"confidence", confidence}});
  };
  add(0, {});
  const std::span<const Change> changes = changes_[number_of_it];
  for (std::size_t begin = 0, end = 0; begin < changes.size(); begin = end) {
    for (; end < changes.size() && changes[end].step == changes[begin].step; ++end) {
      ids[changes[end].position] = changes[end].token;
    }
    add(changes[begin].step, changes.subspan(begin, end - begin));
  }
  return frames;
}

}  // namespace masque
