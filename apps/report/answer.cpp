// The answer in words. It says "better" only of exact likelihoods whose interval excludes 0, or of
// a bound that is already below.
#include <fmt/format.h>

#include <cmath>

#include "apps/report/format.h"
#include "apps/report/sections.h"

namespace masque::report {
namespace {

// Of the rows that fit, the lowest of those over the most windows; nullptr where none does.
template <class Fits>
const HeadlineRow* lowest(const Results& results, const Fits& fits) {
  const HeadlineRow* best = nullptr;
  for (const HeadlineRow& row : results.headline()) {
    if (!std::isfinite(row.nats) || !fits(row)) continue;
    if (best == nullptr || row.windows > best->windows ||
        (row.windows == best->windows && row.nats < best->nats)) {
      best = &row;
    }
  }
  return best;
}

// LLaDA's `first` against any exact row of AR, on the same windows.
const Difference* against_ar(const Results& results, const Score& first) {
  for (const Difference& difference : results.differences()) {
    if (difference.first == first && difference.second.model == "ar" &&
        difference.second.estimator == "exact") {
      return &difference;
    }
  }
  return nullptr;
}

struct Evidence {
  Interval interval;
  std::string words;  // what the interval is
};

// Across seeds where there are several, else over the windows of the first seed.
Evidence evidence_of(const Difference& difference) {
  if (known(difference.across_seeds)) {
    return {difference.across_seeds,
            fmt::format("95% across {} {}", plural(difference.paired.size(), "seed"),
                        between_differences(difference.across_seeds))};
  }
  if (!difference.paired.empty() && known(difference.paired[0].interval)) {
    const PairedInterval& paired = difference.paired[0];
    return {paired.interval, fmt::format("95% over windows, seed {} alone, {}", paired.seed,
                                         between_differences(paired.interval))};
  }
  return {{kNoNumber, kNoNumber}, "no interval is known"};
}

std::string verdict_on_bound(const Difference& difference) {
  const Evidence evidence = evidence_of(difference);
  const std::string numbers =
      fmt::format("{} ({})", masque::report::difference(difference.nats), evidence.words);
  if (!known(evidence.interval) || has_zero(evidence.interval)) {
    return fmt::format("LLaDA's bound minus AR is {}: the two are not separated by it.", numbers);
  }
  if (difference.nats > 0) {
    return fmt::format(
        "LLaDA's bound minus AR is {}. LLaDA's number is an upper bound, so the gap is at most "
        "that, "
        "and the bound alone does not show AR to be better.",
        numbers);
  }
  return fmt::format("LLaDA's bound minus AR is {}: LLaDA is better, by at least that.", numbers);
}

std::string verdict_on_exact(const Difference& difference) {
  const Evidence evidence = evidence_of(difference);
  const std::string numbers =
      fmt::format("{} ({})", masque::report::difference(difference.nats), evidence.words);
  const std::string start = fmt::format("On the same {} windows its difference to AR is {}",
                                        count(static_cast<double>(difference.windows)), numbers);
  if (!known(evidence.interval)) {
    return fmt::format("{}, so neither is shown to be better.", start);
  }
  if (has_zero(evidence.interval)) {
    return fmt::format("{}: the interval includes 0, so neither is shown to be better.", start);
  }
  return fmt::format("{}: both are exact, and {} is better on this text and budget.", start,
                     difference.nats > 0 ? "AR" : "LLaDA decoded so");
}

std::string value(const HeadlineRow& row) {
  return fmt::format("{}\u00a0{}", sign_of(row.bound), nats(row.nats));  // on one line
}

// Of a chain, whose order was chosen on val; or of a mixture.
std::string about_exact(const Results& results, const HeadlineRow& row) {
  const std::string how = row.score.estimator == "chain" ? " (the order that was best on val)" : "";
  const Difference* difference = against_ar(results, row.score);
  return fmt::format(
      "Decoded a token a step, LLaDA has exact likelihoods too: {}{} costs {} nats a token over {} "
      "windows. {}",
      row.score.name(), how, value(row), count(static_cast<double>(row.windows)),
      difference != nullptr
          ? verdict_on_exact(*difference)
          : "AR was not scored against it on the same windows, so no gap is stated.");
}

}  // namespace

std::vector<std::string> answer(const Results& results) {
  std::vector<std::string> paragraphs;
  if (!results.root().flag("complete")) {
    paragraphs.emplace_back("This comparison is not complete: see the end for what is missing.");
  }
  const HeadlineRow* ar = lowest(
      results, [](const auto& row) { return row.score.model == "ar" && row.bound == "exact"; });
  const HeadlineRow* bound = lowest(
      results, [](const auto& row) { return row.score.model == "llada" && row.bound == "upper"; });
  const auto exact_llada = [](const char* estimator) {
    return [estimator](const auto& row) {
      return row.score.model == "llada" && row.bound == "exact" && row.score.estimator == estimator;
    };
  };
  const HeadlineRow* exact = lowest(results, exact_llada("chain"));
  if (exact == nullptr) exact = lowest(results, exact_llada("mixture"));
  if (ar == nullptr && bound == nullptr && exact == nullptr) {
    paragraphs.emplace_back("There are no likelihoods of the headline yet, so there is no answer.");
    return paragraphs;
  }
  std::string text = fmt::format("On {} ({}; {}), ", results.file(), results.windows(),
                                 plural(results.seeds().size(), "seed"));
  if (ar != nullptr) {
    text += fmt::format("AR costs {} nats a token", value(*ar));
  }
  if (bound != nullptr) {
    text += fmt::format("{}LLaDA {}, an upper bound", ar != nullptr ? ", and " : "", value(*bound));
    text += ar != nullptr ? "" : " nats a token";
  }
  if (ar == nullptr && bound == nullptr) text += "only exact orders of LLaDA were scored";
  text += ". ";
  if (bound != nullptr && ar != nullptr) {
    const Difference* difference = against_ar(results, bound->score);
    text += difference != nullptr ? verdict_on_bound(*difference)
                                  : "Their difference was not taken, so no gap is stated.";
  }
  paragraphs.push_back(text);
  if (exact != nullptr) paragraphs.push_back(about_exact(results, *exact));
  if (results.seeds().size() < 2) {
    paragraphs.emplace_back(
        "One seed: how far another training would move these numbers is not "
        "known.");
  }
  return paragraphs;
}

}  // namespace masque::report
