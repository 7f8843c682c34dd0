// TensorBoard's event files, without TensorFlow: TFRecord framing around protobuf messages of the
// type Event. Formats: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto,
// tensorflow/core/framework/summary.proto
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace masque {

std::uint32_t crc32c(std::string_view bytes);  // Castagnoli's; RFC 3720, B.4
// A record of a file: length (u64), masked CRC-32C of it, the bytes, masked CRC-32C of those.
std::string tf_record(std::string_view bytes);

struct Scalar {
  std::string tag;
  double value = 0;  // stored as f32; NaN where not finite
  std::string description;
};

// Appends to one event file, flushed record by record. A file that cannot be written is given up,
// said once by `warn`: nothing here throws, so that no training ends by it.
class EventWriter {
 public:
  using Warn = std::function<void(const std::string&)>;

  EventWriter() = default;  // writes nothing
  EventWriter(std::filesystem::path file, Warn warn);

  // A sitting that begins with `step` (SessionLog START). From the second of a folder on,
  // TensorBoard drops what earlier files say of this step and later ones.
  void start(std::int64_t step);
  void scalars(std::int64_t step, const std::vector<Scalar>& scalars);
  void text(std::int64_t step, const std::string& tag, const std::string& markdown);

 private:
  // Event.`field` = message.
  void event(std::int64_t step, int field, const std::string& message);

  std::filesystem::path file_;
  std::ofstream stream_;
  Warn warn_;
};

}  // namespace masque
