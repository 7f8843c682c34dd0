#include "apps/tensorboard.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

namespace masque {
namespace {

constexpr const char* kFileVersion = "brain.Event:2";

// Fields of the messages, by their numbers in the .proto files.
constexpr int kWallTime = 1, kStep = 2, kVersion = 3, kSummary = 5, kSessionLog = 7;  // Event
constexpr int kStatus = 1;                                                            // SessionLog
constexpr int kValue = 1;                                                             // Summary
constexpr int kTag = 1, kSimpleValue = 2, kTensor = 8, kMetadata = 9;                 // Value
constexpr int kPlugin = 1, kDescription = 3, kDataClass = 4;  // SummaryMetadata
constexpr int kPluginName = 1;                                // PluginData
constexpr int kDtype = 1, kShape = 2, kStrings = 8;           // TensorProto
constexpr std::uint64_t kStart = 1;                           // SessionLog
constexpr std::uint64_t kDataScalar = 1, kDataTensor = 2;     // DataClass
constexpr std::uint64_t kString = 7;                          // DataType

enum class Wire : std::uint64_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0);
    table[byte] = crc;
  }
  return table;
}

std::string little_endian(std::uint64_t number, int bytes) {
  std::string text;
  for (int byte = 0; byte < bytes; ++byte) {
    text += static_cast<char>(static_cast<unsigned char>(number >> (8 * byte)));
  }
  return text;
}

std::string varint(std::uint64_t number) {
  std::string text;
  for (; number >= 0x80; number >>= 7) {
    text += static_cast<char>(static_cast<unsigned char>(number | 0x80));
  }
  return text + static_cast<char>(static_cast<unsigned char>(number));
}

std::string key(int field, Wire wire) {
  return varint((static_cast<std::uint64_t>(field) << 3) | static_cast<std::uint64_t>(wire));
}

std::string number_field(int field, std::uint64_t number) {
  return key(field, Wire::varint) + varint(number);
}

std::string bytes_field(int field, const std::string& bytes) {
  return key(field, Wire::bytes) + varint(bytes.size()) + bytes;
}

std::uint32_t masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

std::string wall_time() {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return key(kWallTime, Wire::fixed64) + little_endian(std::bit_cast<std::uint64_t>(now), 8);
}

std::string metadata(const char* plugin, std::uint64_t data_class) {
  return bytes_field(kPlugin, bytes_field(kPluginName, plugin)) +
         number_field(kDataClass, data_class);
}

std::string scalar_value(const Scalar& scalar) {
  const float value = std::isfinite(scalar.value) ? static_cast<float>(scalar.value)
                                                  : std::numeric_limits<float>::quiet_NaN();
  std::string message = bytes_field(kTag, scalar.tag) + key(kSimpleValue, Wire::fixed32) +
                        little_endian(std::bit_cast<std::uint32_t>(value), 4);
  if (!scalar.description.empty()) {
    message += bytes_field(kMetadata, metadata("scalars", kDataScalar) +
                                          bytes_field(kDescription, scalar.description));
  }
  return message;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> table = crc_table();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  }
  return ~crc;
}

std::string tf_record(std::string_view bytes) {
  const std::string length = little_endian(bytes.size(), 8);
  return length + little_endian(masked_crc(length), 4) + std::string(bytes) +
         little_endian(masked_crc(bytes), 4);
}

EventWriter::EventWriter(std::filesystem::path file, Warn warn)
    : file_(std::move(file)), stream_(file_, std::ios::binary | std::ios::app), warn_(warn) {
  event(0, kVersion, kFileVersion);
}

void EventWriter::start(std::int64_t step) {
  event(step, kSessionLog, number_field(kStatus, kStart));
}

void EventWriter::scalars(std::int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) summary += bytes_field(kValue, scalar_value(scalar));
  event(step, kSummary, summary);
}

void EventWriter::text(std::int64_t step, const std::string& tag, const std::string& markdown) {
  const std::string tensor =
      number_field(kDtype, kString) + bytes_field(kShape, "") + bytes_field(kStrings, markdown);
  event(step, kSummary,
        bytes_field(kValue, bytes_field(kTag, tag) +
                                bytes_field(kMetadata, metadata("text", kDataTensor)) +
                                bytes_field(kTensor, tensor)));
}

void EventWriter::event(std::int64_t step, int field, const std::string& message) {
  if (!warn_) return;
  stream_ << tf_record(wall_time() + number_field(kStep, static_cast<std::uint64_t>(step)) +
                       bytes_field(field, message))
          << std::flush;
  if (stream_) return;
  warn_(fmt::format("{}: cannot be written; going on without TensorBoard's file", file_.string()));
  warn_ = nullptr;
}

}  // namespace masque
