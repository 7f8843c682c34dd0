// What a comparison has found so far: one JSON file a part, in OUT/parts. A part that is there is
// not made again, so whatever interrupts a comparison, it goes on where it was.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace masque {

class Parts {
 public:
  explicit Parts(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool has(const std::string& name) const;
  // InputError where the file is damaged; null where there is none. The file is read once: good
  // until the part is written again.
  const nlohmann::json& read(const std::string& name) const;
  void write(const std::string& name, const nlohmann::json& part);  // whole or not at all

 private:
  std::filesystem::path file(const std::string& name) const { return folder_ / (name + ".json"); }

  std::filesystem::path folder_;
  mutable std::map<std::string, nlohmann::json> read_;  // by name
};

}  // namespace masque
