#include "models/strict_json.h"

#include <fmt/format.h>

#include <fstream>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "core/check.h"

namespace masque {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShownBytes = 80;
constexpr std::size_t kMostPieces = 65536;  // keys, objects and arrays: each takes some 200 bytes

// Called by the parser as it meets keys and brackets.
class Strictness {
 public:
  explicit Strictness(const JsonSource& source) : source_(source) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    using Event = Json::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    if ((opens || event == Event::key) && ++pieces_ > kMostPieces) {
      fail(fmt::format("holds more than {} keys, objects and arrays", kMostPieces));
    }
    if (opens && depth >= source_.depth) {
      fail(fmt::format("nests deeper than {}", source_.depth));
    }
    if (event == Event::object_start) {
      keys_.emplace_back();
    } else if (event == Event::object_end) {
      keys_.pop_back();
    } else if (event == Event::key) {
      auto key = value.get<std::string>();
      if (!keys_.back().insert(key).second) fail(in_quotes(key) + " appears twice");
    }
    return true;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: {}: {}", source_.name, what, source_.mend));
  }

  const JsonSource& source_;
  std::size_t pieces_ = 0;
  std::vector<std::set<std::string>> keys_;  // seen so far, of the objects that are open
};

}  // namespace

std::string in_quotes(const std::string& text) {
  return Json(text.substr(0, kShownBytes)).dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= kShownBytes ? text : text.substr(0, kShownBytes) + "...";
}

Json parse_strict_json(const std::string& text, const JsonSource& source) {
  Strictness strictness(source);
  try {
    return Json::parse(text, [&](int depth, Json::parse_event_t event, const Json& value) {
      return strictness(depth, event, value);
    });
  } catch (const Json::parse_error& error) {
    throw InputError(
        fmt::format("{}: is not JSON at its byte {}: {}", source.name, error.byte, source.mend));
  } catch (const Json::out_of_range&) {
    throw InputError(
        fmt::format("{}: holds a number past the range of f64: {}", source.name, source.mend));
  }
}

Json read_strict_json(const std::filesystem::path& file, const JsonSource& source) {
  std::error_code status;
  const std::uintmax_t size = std::filesystem::file_size(file, status);
  std::ifstream stream(file, std::ios::binary);
  if (status || !stream) {
    throw InputError(fmt::format("{}: cannot be read ({}): {}", source.name,
                                 status ? status.message() : "it cannot be opened", source.mend));
  }
  if (size > kMostJsonBytes) {
    throw InputError(fmt::format("{}: has {} bytes, more than {}: {}", source.name, size,
                                 kMostJsonBytes, source.mend));
  }
  std::string text(static_cast<std::size_t>(size), '\0');
  stream.read(text.data(), static_cast<std::streamsize>(size));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return parse_strict_json(text, source);
}

}  // namespace masque
