#include "apps/report/format.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "apps/common.h"

namespace masque::report {
namespace {

constexpr const char* kUnknown = "–";

std::string name_in(const std::map<std::string, std::string>& names, const std::string& name) {
  const auto found = names.find(name);
  return found == names.end() ? name : found->second;
}

}  // namespace

bool known(const Interval& interval) {
  return std::isfinite(interval.lo) && std::isfinite(interval.hi);
}

bool has_zero(const Interval& interval) {
  return interval.lo <= 0 && interval.hi >= 0;
}

std::string fixed(double number, int digits) {
  if (!std::isfinite(number)) return kUnknown;
  const std::string text = fmt::format("{:.{}f}", std::fabs(number), digits);
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return number < 0 && !zero ? "−" + text : text;
}

std::string nats(double number) {
  return fixed(number, 4);
}

std::string difference(double number) {
  const std::string text = fixed(number, 4);
  return std::isfinite(number) && number > 0 && text != "0.0000" ? "+" + text : text;
}

std::string percent(double share, int digits) {
  return std::isfinite(share) ? fixed(100 * share, digits) + "%" : kUnknown;
}

std::string count(double number) {
  return std::isfinite(number) ? grouped(std::llround(number)) : kUnknown;
}

std::string compact(double number) {
  if (!std::isfinite(number)) return kUnknown;
  const double size = std::fabs(number);
  if (size >= 1e12) return fmt::format("{:.3g}", number);
  if (size >= 1e9) return fmt::format("{:.3g}G", number / 1e9);
  if (size >= 1e6) return fmt::format("{:.3g}M", number / 1e6);
  if (size >= 1e4) return fmt::format("{:.3g}k", number / 1e3);
  return fmt::format("{:.4g}", number);
}

std::string between(const Interval& interval, int digits) {
  if (!known(interval)) return kUnknown;
  return fmt::format("{} to {}", fixed(interval.lo, digits), fixed(interval.hi, digits));
}

std::string between_differences(const Interval& interval) {
  if (!known(interval)) return kUnknown;
  return fmt::format("{} to {}", difference(interval.lo), difference(interval.hi));
}

std::string sign_of(const std::string& bound) {
  return name_in({{"exact", "="}, {"upper", "≤"}, {"mean", "~"}}, bound);
}

std::string model_name(const std::string& model) {
  return name_in({{"llada", "LLaDA"}, {"ar", "AR"}, {"real", "real text"}}, model);
}

std::string order_name(const std::string& order) {
  return name_in({{"l2r", "left to right"},
                  {"r2l", "right to left"},
                  {"max_prob", "highest probability first"},
                  {"margin", "largest margin first"},
                  {"entropy", "lowest entropy first"}},
                 order);
}

std::string estimator_name(const std::string& estimator) {
  return estimator == "nelbo" ? "NELBO" : estimator;
}

std::string row_name(const std::string& model, const std::string& estimator,
                     const std::string& order) {
  const std::string name = fmt::format("{} {}", model_name(model), estimator_name(estimator));
  // AR's exact likelihood and the bound have no order to choose.
  if (order.empty() || estimator == "exact" || estimator == "nelbo") return name;
  return fmt::format("{}, {}", name, order_name(order));
}

std::string plural(std::size_t number, const std::string& what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

std::string html(const std::string& text) {
  std::string escaped;
  for (const char character : text) {
    switch (character) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        // Control characters have no place in a page.
        escaped +=
            static_cast<unsigned char>(character) < 0x20 && character != '\n' && character != '\t'
                ? "�"
                : std::string(1, character);
    }
  }
  return escaped;
}

std::string markdown(const std::string& text) {
  static const std::string special = "\\`*_[]<>|&~#$";
  std::string escaped;
  for (const char character : text) {
    if (special.find(character) != std::string::npos) escaped += '\\';
    escaped += character == '\n' || character == '\r' ? ' ' : character;
  }
  return escaped;
}

std::string json_in_script(const std::string& json) {
  std::string escaped;
  for (const char character : json) {
    escaped += character == '<' ? "\\u003c" : std::string(1, character);
  }
  return escaped;
}

}  // namespace masque::report
