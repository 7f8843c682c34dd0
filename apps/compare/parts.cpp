#include "apps/compare/parts.h"

#include <fmt/format.h>

#include "kernels/backend.h"
#include "models/dataset.h"
#include "models/files.h"

namespace masque {

namespace fs = std::filesystem;

bool Parts::has(const std::string& name) const {
  return fs::exists(file(name));
}

nlohmann::json Parts::read(const std::string& name) const {
  if (!has(name)) return nullptr;
  nlohmann::json part = nlohmann::json::parse(read_text(file(name)), nullptr, false);
  if (part.is_discarded()) {
    throw InputError(
        fmt::format("{} is damaged: remove it, and that part is made again", file(name).string()));
  }
  return part;
}

void Parts::write(const std::string& name, const nlohmann::json& part) const {
  fs::create_directories(folder_);
  write_file(file(name), part.dump(1) + "\n");
}

}  // namespace masque
