#include "apps/eval_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>

#include "apps/common.h"
#include "apps/json.h"

namespace masque {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kCurveColumns = 64;

std::string range(const Interval& interval) {
  if (std::isnan(interval.lo)) return "unknown from one window";
  return fmt::format("{:.4f} to {:.4f}", interval.lo, interval.hi);
}

void row(const char* name, const std::string& value) {
  fmt::print("  {:<16}{}\n", name, value);
}

// One of ▁ to █ for a value between least and most.
const char* bar(double value, double least, double most) {
  constexpr std::array<const char*, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (std::isnan(value)) return " ";
  const double height = most > least ? (value - least) / (most - least) : 0;
  return kBars[std::min<std::size_t>(7, static_cast<std::size_t>(height * 8))];
}

void print_by_masked(const std::vector<MaskedBin>& bins, const char* what) {
  double least = INFINITY, most = -INFINITY;
  for (const MaskedBin& bin : bins) {
    if (bin.draws == 0) continue;
    least = std::min(least, bin.nats);
    most = std::max(most, bin.nats);
  }
  fmt::print("  by tokens {}: share of a window, nats of one\n", what);
  for (const MaskedBin& bin : bins) {
    const std::string nats = bin.draws == 0 ? "no draw" : fmt::format("{:.4f}", bin.nats);
    fmt::print("    {:>4} to {:>4} {:>5.0f}%  {:>7}  {}\n", bin.lo, bin.hi,
               100 * mid_share(bin, bins.back().hi), nats, bar(bin.nats, least, most));
  }
}

// At most kCurveColumns columns, each the mean of its positions.
void print_by_position(const std::vector<double>& nats) {
  const auto n = std::ssize(nats), columns = std::min(kCurveColumns, n);
  std::vector<double> means;
  for (std::int64_t column = 0; column < columns; ++column) {
    const std::int64_t begin = column * n / columns, end = (column + 1) * n / columns;
    means.push_back(std::accumulate(nats.begin() + begin, nats.begin() + end, 0.0) /
                    static_cast<double>(end - begin));
  }
  const auto [least, most] = std::minmax_element(means.begin(), means.end());
  std::string line;
  for (const double mean : means) line += bar(mean, *least, *most);
  fmt::print("  by position: {:.4f} to {:.4f} nats, first {:.4f}, last {:.4f}\n    {}\n", *least,
             *most, means.front(), means.back(), line);
}

// What the number is, in words.
std::string kind_of(const EvalReport& report) {
  if (report.estimator == "nelbo") return "upper bound";
  if (report.bound() == "mean") return "mean of exact likelihoods, one an order";
  if (report.estimator == "mixture") return "exact, of a decoder that draws one of its orders";
  return "exact";
}

std::string accuracy_of(const EvalReport& report) {
  const double percent = 100 * report.likelihood.accuracy;
  if (report.estimator == "nelbo") {
    return fmt::format("  {:.1f}% of masked tokens, 1 to all of a window", percent);
  }
  if (report.estimator == "chain") {
    return fmt::format("  {:.1f}% of tokens, each given those before it in the order", percent);
  }
  return fmt::format("  {:.1f}% of next tokens", percent);
}

}  // namespace

std::string EvalReport::bound() const {
  if (estimator == "nelbo") return "upper";
  return estimator == "chain" && draws > 1 ? "mean" : "exact";
}

std::optional<double> EvalReport::bits_per_char() const {
  if (unit != "character") return std::nullopt;
  return likelihood.nats_per_token / std::numbers::ln2;
}

double EvalReport::bits_per_byte() const {
  return likelihood.nats_per_token / std::numbers::ln2 * static_cast<double>(likelihood.tokens) /
         static_cast<double>(bytes);
}

Json to_json(const EvalReport& report) {
  const Likelihood& likelihood = report.likelihood;
  return {{"objective", report.objective},
          {"estimator", report.estimator},
          {"order", report.order ? Json(*report.order) : Json()},
          {"bound", report.bound()},
          {"nats_per_token", likelihood.nats_per_token},
          {"ci95", ends(likelihood.ci95)},
          {"ci95_text", ends(likelihood.ci95_text)},
          {"bits_per_char", report.bits_per_char() ? Json(*report.bits_per_char()) : Json()},
          {"bits_per_byte", report.bits_per_byte()},
          {"perplexity", std::exp(likelihood.nats_per_token)},
          {"accuracy", number(likelihood.accuracy)},
          {"tokens", likelihood.tokens},
          {"windows", likelihood.window_nats.size()},
          {"window_length", report.window_length},
          {"draws", report.draws},
          {"split", report.split},
          {"checkpoint", report.checkpoint},
          {"ema", report.ema},
          {"seed", report.seed},
          {"seconds", report.seconds},
          {"unigram", report.unigram ? Json(*report.unigram) : Json()},
          {"bigram", report.bigram ? Json(*report.bigram) : Json()},
          {"mixture", report.mixture ? Json(report.mixture->nats_per_token) : Json()},
          {"by_masked", points(likelihood.by_masked)},
          {"by_position", likelihood.by_position}};
}

void print(const EvalReport& report, bool curves) {
  const Likelihood& likelihood = report.likelihood;
  const double nats = likelihood.nats_per_token;
  const std::string bound = report.bound();
  const char* sign = bound == "upper" ? "≤" : " ";
  fmt::print("{}  {} {}, {}{}, {} split\n", report.run, report.objective, report.estimator,
             report.checkpoint, report.ema ? " averaged" : "", report.split);
  row("nats per token", fmt::format("{} {:.4f}  ({})", sign, nats, kind_of(report)));
  if (bound != "exact") {
    row("  estimate", fmt::format("  {}  (95%, {})", range(likelihood.ci95),
                                  bound == "upper" ? "these masks" : "these orders"));
  }
  row("  text", "  " + range(likelihood.ci95_text) + "  (95%, another text of the kind)");
  const double by_byte = report.bits_per_byte();
  if (const auto by_char = report.bits_per_char()) {
    row("bits per char", fmt::format("{} {:.4f}", sign, *by_char));
    if (by_byte != *by_char) row("bits per byte", fmt::format("{} {:.4f}", sign, by_byte));
  } else {
    row("bits per byte", fmt::format("{} {:.4f}", sign, by_byte));
  }
  row("perplexity", fmt::format("{} {:.3f}", sign, std::exp(nats)));
  if (report.mixture) {
    row("mixture", fmt::format("  {:.4f} nats (exact, of a decoder that draws one of these orders)",
                               report.mixture->nats_per_token));
  }
  if (!std::isnan(likelihood.accuracy)) row("accuracy", accuracy_of(report));
  if (report.unigram) row("unigram", fmt::format("  {:.4f} nats", *report.unigram));
  if (report.bigram) row("bigram", fmt::format("  {:.4f} nats", *report.bigram));
  std::string scored = fmt::format("  {} tokens in {} windows of {}", grouped(likelihood.tokens),
                                   likelihood.window_nats.size(), report.window_length);
  if (report.estimator == "nelbo") {
    scored += fmt::format(", {} draws each", report.draws);
  } else if (report.draws > 0) {
    scored +=
        fmt::format(", {} {} order{}", report.draws, *report.order, report.draws == 1 ? "" : "s");
  }
  row("scored", scored + fmt::format(", in {:.1f} s", report.seconds));
  if (!curves) return;
  if (!likelihood.by_masked.empty()) {
    print_by_masked(likelihood.by_masked, report.estimator == "chain" ? "unknown" : "masked");
  }
  if (!likelihood.by_position.empty()) print_by_position(likelihood.by_position);
}

}  // namespace masque
