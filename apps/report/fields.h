// results.json read key by key: what is missing or of another type is an InputError that names it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/intervals.h"

namespace masque::report {

class Field {
 public:
  // path: where `value` lies, as in headline[2]; empty for the whole file. Keeps a reference.
  Field(const nlohmann::json& value, std::string path);

  Field operator[](const char* key) const;  // must be there
  bool has(const char* key) const;          // there and not null
  std::vector<Field> list(const char* key) const;
  std::vector<double> numbers(const char* key) const;  // null → NaN
  std::vector<std::string> texts(const char* key) const;
  std::string text(const char* key) const;  // null → ""
  // One of `words`.
  std::string word(const char* key, const std::vector<std::string>& words) const;
  std::string model(const char* key) const { return word(key, {"llada", "ar"}); }
  std::string bound() const { return word("bound", {"exact", "upper", "mean"}); }
  double number(const char* key) const;  // null → NaN
  std::int64_t integer(const char* key) const;
  bool flag(const char* key) const;
  Interval interval(const char* key) const;  // null → both NaN
  Interval as_interval() const;              // this value itself

  const nlohmann::json& json() const { return value_; }
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void refuse(const std::string& what) const;
  const nlohmann::json& value_;
  std::string path_;
};

}  // namespace masque::report
