#include "models/safetensors.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "models/files.h"
#include "models/strict_json.h"

namespace masque {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeader = 1 << 20;  // 9,000 arrays
constexpr int kMaxDepth = 3;                   // file, tensor, shape
constexpr std::size_t kMaxRank = 4;
constexpr std::size_t kBlock = 1 << 16;  // values at a time
const char* const kMetadata = "__metadata__";
const char* const kMend = "copy the file again, or use another checkpoint";

const char* format_name(DType dtype) {
  return dtype == DType::f64 ? "F64" : "F32";
}

Shape make_shape(std::span<const std::int64_t> sizes) {
  switch (sizes.size()) {
    case 1:
      return {sizes[0]};
    case 2:
      return {sizes[0], sizes[1]};
    case 3:
      return {sizes[0], sizes[1], sizes[2]};
    case 4:
      return {sizes[0], sizes[1], sizes[2], sizes[3]};
    default:
      return {};
  }
}

// A file opened and its header parsed.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& file)
      : name(file.string()), stream(file, std::ios::binary) {
    std::error_code status;
    size = std::filesystem::file_size(file, status);
    if (status || !stream) {
      throw InputError(fmt::format("{}: cannot be read ({}): name a safetensors file", name,
                                   status ? status.message() : std::strerror(errno)));
    }
    if (size < kLengthBytes) fail(fmt::format("truncated, {} bytes", size));
    std::uint64_t length = 0;
    stream.read(reinterpret_cast<char*>(&length), kLengthBytes);
    if (length > kMaxHeader) {
      fail(fmt::format("header of {} bytes is over the limit of {}", length, kMaxHeader));
    }
    if (length > size - kLengthBytes) {
      fail(fmt::format("truncated, {} bytes where the header alone takes {}", size,
                       length + kLengthBytes));
    }
    std::string text(length, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(length));
    if (!stream) fail("read failed");
    header = parse_strict_json(text, {name + ": header", kMend, kMaxDepth});
    if (!header.is_object()) fail("header is not a JSON object");
    header_end = kLengthBytes + length;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: {}: {}", name, what, kMend));
  }

  std::string name;
  std::uint64_t size = 0;        // of the file
  std::uint64_t header_end = 0;  // where the data start
  nlohmann::json header;
  std::ifstream stream;
};

// Where an array lies in the data.
struct Extent {
  std::uint64_t begin, end;
  std::string key;
};

std::map<std::string, std::string> parse_metadata(const Reader& reader,
                                                  const nlohmann::json& value) {
  std::map<std::string, std::string> metadata;
  for (const auto& pair : value.items()) {
    if (!value.is_object() || !pair.value().is_string()) {
      reader.fail("__metadata__ is not an object of strings");
    }
    metadata[pair.key()] = pair.value().get<std::string>();
  }
  return metadata;
}

Shape parse_shape(const Reader& reader, const std::string& key, const nlohmann::json& value) {
  constexpr std::uint64_t kLimit = std::numeric_limits<std::int64_t>::max() / 8;  // bytes fit too
  if (value.size() > kMaxRank) reader.fail(in_quotes(key) + " has more than 4 dimensions");
  std::vector<std::int64_t> sizes;
  std::uint64_t count = 1;
  for (const nlohmann::json& item : value) {
    if (!item.is_number_unsigned()) reader.fail(in_quotes(key) + ": shape holds no size");
    const auto size = item.get<std::uint64_t>();
    if (size > kLimit || (size > 0 && count > kLimit / size)) {
      reader.fail(in_quotes(key) + ": shape overflows");
    }
    count *= size;
    sizes.push_back(static_cast<std::int64_t>(size));
  }
  return make_shape(sizes);
}

Safetensors::Entry parse_entry(const Reader& reader, const std::string& key,
                               const nlohmann::json& value, std::vector<Extent>& extents) {
  const bool complete = value.is_object() && value.size() == 3 && value.contains("dtype") &&
                        value.contains("shape") && value.contains("data_offsets") &&
                        value["shape"].is_array() && value["data_offsets"].is_array() &&
                        value["data_offsets"].size() == 2 &&
                        value["data_offsets"][0].is_number_unsigned() &&
                        value["data_offsets"][1].is_number_unsigned();
  if (!complete) {
    reader.fail(in_quotes(key) + " wants dtype, shape and data_offsets [begin, end], no more");
  }
  Safetensors::Entry entry;
  if (value["dtype"] != "F32" && value["dtype"] != "F64") {
    reader.fail(in_quotes(key) + ": type is not F32 or F64");
  }
  entry.dtype = value["dtype"] == "F64" ? DType::f64 : DType::f32;
  entry.shape = parse_shape(reader, key, value["shape"]);
  const auto begin = value["data_offsets"][0].get<std::uint64_t>();
  const auto end = value["data_offsets"][1].get<std::uint64_t>();
  const auto bytes = static_cast<std::uint64_t>(entry.shape.count()) * size_of(entry.dtype);
  if (end < begin || end - begin != bytes) {
    reader.fail(fmt::format("{}: data_offsets [{}, {}] do not hold shape {} of {}", in_quotes(key),
                            begin, end, entry.shape, format_name(entry.dtype)));
  }
  extents.push_back({begin, end, key});
  return entry;
}

// Sorts; arrays must follow one another without overlap or hole, and fill the data.
void check_extents(const Reader& reader, std::vector<Extent>& extents, std::uint64_t data_size) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t expected = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != expected) {
      reader.fail(fmt::format("{} starts at {}, {} {}", in_quotes(extent.key), extent.begin,
                              extent.begin < expected ? "inside the array before it, which ends at"
                                                      : "after a hole from",
                              expected));
    }
    expected = extent.end;
  }
  if (data_size < expected) {
    reader.fail(fmt::format("truncated, {} bytes where its header promises {}", reader.size,
                            reader.header_end + expected));
  }
  if (data_size > expected) {
    reader.fail(fmt::format("{} bytes follow its last array", data_size - expected));
  }
}

}  // namespace

std::vector<NamedBytes> safetensors_parts(std::span<const HostArray> arrays,
                                          const std::map<std::string, std::string>& metadata,
                                          std::string& header) {
  std::vector<HostArray> ordered(arrays.begin(), arrays.end());
  std::stable_sort(ordered.begin(), ordered.end(), [](const HostArray& a, const HostArray& b) {
    return size_of(a.dtype) > size_of(b.dtype);
  });
  nlohmann::json json = nlohmann::json::object();
  if (!metadata.empty()) json[kMetadata] = metadata;
  std::vector<NamedBytes> parts = {{"header", {}}};
  std::uint64_t offset = 0;
  for (const HostArray& array : ordered) {
    CHECK(array.dtype != DType::i32, "safetensors {}: i32 is not supported", array.name);
    CHECK(!json.contains(array.name), "safetensors {}: written twice", array.name);
    const std::size_t bytes = bytes_of(array.shape.count(), array.dtype);
    nlohmann::json sizes = nlohmann::json::array();
    for (int axis = 0; axis < array.shape.rank(); ++axis) sizes.push_back(array.shape[axis]);
    json[array.name] = {{"dtype", format_name(array.dtype)},
                        {"shape", sizes},
                        {"data_offsets", {offset, offset + bytes}}};
    parts.push_back({array.name, {static_cast<const std::byte*>(array.data), bytes}});
    offset += bytes;
  }

  std::string text = json.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data start at a multiple of 8
  const std::uint64_t length = text.size();
  header.assign(kLengthBytes, '\0');
  std::memcpy(header.data(), &length, kLengthBytes);
  header += text;
  parts[0].bytes = std::as_bytes(std::span(header));
  return parts;
}

void write_safetensors(const std::filesystem::path& file, std::span<const HostArray> arrays,
                       const std::map<std::string, std::string>& metadata) {
  std::string header;
  std::vector<std::span<const std::byte>> bytes;
  for (const NamedBytes& part : safetensors_parts(arrays, metadata, header)) {
    bytes.push_back(part.bytes);
  }
  write_file(file, bytes);
}

Safetensors::Safetensors(const std::filesystem::path& file) : file_(file) {
  Reader reader(file);
  std::vector<Extent> extents;
  for (const auto& item : reader.header.items()) {
    if (item.key() == kMetadata) {
      metadata_ = parse_metadata(reader, item.value());
    } else {
      entries_[item.key()] = parse_entry(reader, item.key(), item.value(), extents);
    }
  }
  check_extents(reader, extents, reader.size - reader.header_end);
  for (const Extent& extent : extents) {
    entries_[extent.key].begin = reader.header_end + extent.begin;
  }
  stream_ = std::move(reader.stream);
}

const Safetensors::Entry& Safetensors::find(const std::string& name, const Shape& shape) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    throw InputError(fmt::format("{}: has no {}: it is of another model or kind", file_.string(),
                                 in_quotes(name)));
  }
  if (!(found->second.shape == shape)) {
    throw InputError(fmt::format("{}: {} has shape {} where the configuration wants {}",
                                 file_.string(), in_quotes(name), found->second.shape, shape));
  }
  return found->second;
}

void Safetensors::read_bytes(std::uint64_t begin, std::span<std::byte> to) const {
  stream_.clear();
  stream_.seekg(static_cast<std::streamoff>(begin));
  stream_.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
  if (!stream_) {
    throw InputError(fmt::format("{}: its bytes {} to {} cannot be read: {}", file_.string(), begin,
                                 begin + to.size(), kMend));
  }
}

void Safetensors::read(const std::string& name, const Shape& shape, const Take& take) const {
  const Entry& entry = find(name, shape);
  const auto blocks = [&](auto type) {
    using From = decltype(type);
    std::vector<From> block(kBlock);
    std::vector<double> values(kBlock);
    const auto count = static_cast<std::size_t>(shape.count());
    for (std::size_t first = 0; first < count; first += kBlock) {
      const std::span<From> part = std::span(block).first(std::min(kBlock, count - first));
      read_bytes(entry.begin + first * sizeof(From), std::as_writable_bytes(part));
      std::copy(part.begin(), part.end(), values.begin());
      take(static_cast<std::int64_t>(first), std::span(values).first(part.size()));
    }
  };
  if (entry.dtype == DType::f64) {
    blocks(double{});
  } else {
    blocks(float{});
  }
}

void Safetensors::read(const std::string& name, const Shape& shape, DType dtype, void* to) const {
  CHECK(dtype != DType::i32, "safetensors {}: i32 is not supported", name);
  const Entry& entry = find(name, shape);
  if (entry.dtype == dtype) {
    const std::size_t bytes = bytes_of(shape.count(), dtype);
    read_bytes(entry.begin, {static_cast<std::byte*>(to), bytes});
    return;
  }
  read(name, shape, [&](std::int64_t first, std::span<const double> values) {
    if (dtype == DType::f64) {
      std::copy(values.begin(), values.end(), static_cast<double*>(to) + first);
    } else {
      std::transform(values.begin(), values.end(), static_cast<float*>(to) + first,
                     [](double value) { return static_cast<float>(value); });
    }
  });
}

}  // namespace masque
