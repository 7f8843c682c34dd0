#include "apps/report/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/backend.h"

namespace masque::report {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr double kMostWhole = 9007199254740992;  // 2^53: from there on f64 skips whole numbers

}  // namespace

Field::Field(const nlohmann::json& value, std::string path)
    : value_(value), path_(std::move(path)) {}

void Field::refuse(const std::string& what) const {
  throw InputError(
      fmt::format("results.json: {} {}; docs/compare-format.md says what belongs there",
                  path_.empty() ? "the file" : path_, what));
}

Field Field::operator[](const char* key) const {
  if (!value_.is_object()) {
    refuse(fmt::format("is {} where an object is needed", value_.type_name()));
  }
  const auto found = value_.find(key);
  std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  if (found == value_.end()) Field(value_, std::move(path)).refuse("is missing");
  return Field(*found, std::move(path));
}

bool Field::has(const char* key) const {
  return value_.is_object() && value_.contains(key) && !value_.at(key).is_null();
}

std::vector<Field> Field::list(const char* key) const {
  const Field field = (*this)[key];
  if (!field.value_.is_array()) {
    field.refuse(fmt::format("is {} where a list is needed", field.value_.type_name()));
  }
  std::vector<Field> fields;
  for (const nlohmann::json& entry : field.value_) {
    fields.emplace_back(entry, fmt::format("{}[{}]", field.path_, fields.size()));
  }
  return fields;
}

std::vector<double> Field::numbers(const char* key) const {
  std::vector<double> numbers;
  for (const Field& field : list(key)) {
    if (!field.value_.is_null() && !field.value_.is_number()) field.refuse("is no number");
    numbers.push_back(field.value_.is_null() ? kUnknown : field.value_.get<double>());
  }
  return numbers;
}

std::vector<std::string> Field::texts(const char* key) const {
  std::vector<std::string> texts;
  for (const Field& field : list(key)) {
    if (!field.value_.is_string()) field.refuse("is no string");
    texts.push_back(field.value_.get<std::string>());
  }
  return texts;
}

std::string Field::text(const char* key) const {
  const Field field = (*this)[key];
  if (field.value_.is_null()) return "";
  if (!field.value_.is_string()) {
    field.refuse(fmt::format("is {} where a string is needed", field.value_.type_name()));
  }
  return field.value_.get<std::string>();
}

std::string Field::word(const char* key, const std::vector<std::string>& words) const {
  const std::string found = text(key);
  if (std::find(words.begin(), words.end(), found) == words.end()) {
    (*this)[key].refuse(fmt::format("is \"{}\"; it is one of {}", found, fmt::join(words, ", ")));
  }
  return found;
}

double Field::number(const char* key) const {
  const Field field = (*this)[key];
  if (field.value_.is_null()) return kUnknown;
  if (!field.value_.is_number()) {
    field.refuse(fmt::format("is {} where a number is needed", field.value_.type_name()));
  }
  return field.value_.get<double>();
}

std::int64_t Field::integer(const char* key) const {
  const Field field = (*this)[key];
  const bool number = field.value_.is_number();
  const double value = number ? field.value_.get<double>() : kUnknown;
  if (!(std::fabs(value) <= kMostWhole && value == std::floor(value))) {
    field.refuse(fmt::format("is {} where a whole number is needed",
                             number ? field.value_.dump() : field.value_.type_name()));
  }
  return field.value_.get<std::int64_t>();
}

bool Field::flag(const char* key) const {
  const Field field = (*this)[key];
  if (!field.value_.is_boolean()) {
    field.refuse(fmt::format("is {} where true or false is needed", field.value_.type_name()));
  }
  return field.value_.get<bool>();
}

Interval Field::interval(const char* key) const {
  return (*this)[key].as_interval();
}

Interval Field::as_interval() const {
  if (value_.is_null()) return {kUnknown, kUnknown};
  const bool pair = value_.is_array() && value_.size() == 2;
  if (!pair) refuse("is no interval [lo, hi]");
  const auto end = [&](std::size_t k) {
    if (value_[k].is_null()) return kUnknown;
    if (!value_[k].is_number()) refuse("is no interval [lo, hi]");
    return value_[k].get<double>();
  };
  return {end(0), end(1)};
}

}  // namespace masque::report
