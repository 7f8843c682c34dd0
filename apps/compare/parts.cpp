#include "apps/compare/parts.h"

#include <fmt/format.h>

#include "kernels/backend.h"
#include "models/corpus.h"
#include "models/files.h"

namespace masque {

namespace fs = std::filesystem;

bool Parts::has(const std::string& name) const {
  return fs::exists(file(name));
}

const nlohmann::json& Parts::read(const std::string& name) const {
  static const nlohmann::json kNone;
  if (!has(name)) return kNone;
  const auto known = read_.find(name);
  if (known != read_.end()) return known->second;
  nlohmann::json part = nlohmann::json::parse(read_text(file(name)), nullptr, false);
  if (part.is_discarded()) {
    throw InputError(
        fmt::format("{} is damaged: remove it, and that part is made again", file(name).string()));
  }
  return read_.emplace(name, std::move(part)).first->second;
}

void Parts::write(const std::string& name, const nlohmann::json& part) {
  fs::create_directories(folder_);
  write_file(file(name), part.dump(1) + "\n");
  read_.erase(name);  // as a later sitting reads it: NaN is null by then
}

}  // namespace masque
