// safetensors files (docs/checkpoint-format.md).
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace masque {

// An array in host memory, to be written.
struct HostArray {
  std::string name;
  Shape shape;
  DType dtype = DType::f32;  // f32 or f64
  const void* data = nullptr;
};

struct NamedBytes {
  std::string name;
  std::span<const std::byte> bytes;
};

// The bytes of a safetensors file: "header", then each array by its name. They lie in `header`,
// which is filled, and in the arrays. Those of f64 come first, so that each is aligned to its size.
std::vector<NamedBytes> safetensors_parts(std::span<const HostArray> arrays,
                                          const std::map<std::string, std::string>& metadata,
                                          std::string& header);
void write_safetensors(const std::filesystem::path& file, std::span<const HostArray> arrays,
                       const std::map<std::string, std::string>& metadata);

// A safetensors file, its header checked: bounds, duplicate keys, types, shapes against offsets and
// the file, no overlap, no hole. Sizes are checked before memory is taken; arrays are read from the
// file when they are asked for.
class Safetensors {
 public:
  struct Entry {
    Shape shape;
    DType dtype = DType::f32;
    std::uint64_t begin = 0;  // in the file
  };
  explicit Safetensors(const std::filesystem::path& file);  // InputError: what, value, mend

  const std::map<std::string, Entry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Copies `name` into `to`, converting between f32 and f64. InputError where absent or of another
  // shape.
  void read(const std::string& name, const Shape& shape, DType dtype, void* to) const;
  // The same in blocks of some thousand values: take(first, values).
  using Take = std::function<void(std::int64_t first, std::span<const double> values)>;
  void read(const std::string& name, const Shape& shape, const Take& take) const;

 private:
  const Entry& find(const std::string& name, const Shape& shape) const;
  void read_bytes(std::uint64_t begin, std::span<std::byte> to) const;

  std::filesystem::path file_;
  mutable std::ifstream stream_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace masque
