#include "kernels/cublas/algorithm_cache.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "kernels/gpu.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kWords = sizeof(cublasLtMatmulAlgo_t::data) / sizeof(std::uint64_t);

std::string folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME")) return std::string(cache) + "/masque";
  if (const char* home = std::getenv("HOME")) return std::string(home) + "/.cache/masque";
  return "";
}

std::string file_name(std::string machine) {
  std::replace_if(
      machine.begin(), machine.end(),
      [](char character) { return character == ' ' || character == '/'; }, '-');
  return "/products-" + machine + ".txt";
}

}  // namespace

AlgorithmCache::AlgorithmCache()
    : machine_(gpu_name() + " cublasLt " + std::to_string(cublasLtGetVersion())) {
  const std::string where = folder();
  if (where.empty()) return;
  path_ = where + file_name(machine_);
  std::ifstream file(path_);
  std::stringstream text;
  text << file.rdbuf();
  use(text.str());
}

bool AlgorithmCache::use(const std::string& record) {
  std::istringstream lines(record);
  std::string machine;
  if (!std::getline(lines, machine) || machine != machine_) return false;
  read(lines);
  return true;
}

void AlgorithmCache::read(std::istream& lines) {
  std::string product;
  while (lines >> product) {
    cublasLtMatmulAlgo_t algorithm{};
    for (std::size_t i = 0; i < kWords; ++i) lines >> algorithm.data[i];
    if (lines) algorithms_[product] = algorithm;
  }
}

std::optional<cublasLtMatmulAlgo_t> AlgorithmCache::find(const std::string& product) const {
  const auto found = algorithms_.find(product);
  if (found == algorithms_.end()) return std::nullopt;
  return found->second;
}

// The whole file anew under another name, then renamed: two processes never mix their lines.
void AlgorithmCache::add(const std::string& product, const cublasLtMatmulAlgo_t& algorithm) {
  algorithms_[product] = algorithm;
  if (path_.empty()) return;
  std::error_code failed;
  fs::create_directories(fs::path(path_).parent_path(), failed);
  const std::string temporary = path_ + "." + std::to_string(getpid());
  {
    std::ofstream file(temporary);
    file << record();
    if (!file) return;
  }
  fs::rename(temporary, path_, failed);
}

std::string AlgorithmCache::record() const {
  std::string text = machine_ + "\n";
  for (const auto& [product, algorithm] : algorithms_) {
    text += product;
    for (const std::uint64_t word : algorithm.data) text += " " + std::to_string(word);
    text += "\n";
  }
  return text;
}

}  // namespace masque
