#include "apps/memory_forecast.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/machine.h"
#include "core/check.h"
#include "core/out_of_memory.h"

namespace masque {
namespace {

double mebibytes(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

}  // namespace

MemoryForecast forecast_memory(const RunConfig& config, const Device& device, ForecastAt at) {
  MemoryForecast forecast{plan_memory(config, device)};
  std::vector<MemoryPiece>& pieces = forecast.pieces;
  const auto there = [at](const MemoryPiece& piece) {
    if (at == ForecastAt::before) return piece.name == kTextPiece;
    const bool evaluated = at == ForecastAt::evaluated;
    return piece.taken <=
           (evaluated ? MemoryPiece::Taken::evaluating : MemoryPiece::Taken::at_start);
  };
  std::size_t taken = 0;  // of the pieces
  for (const MemoryPiece& piece : pieces) {
    if (there(piece) && !piece.on_gpu) taken += piece.bytes;
    (piece.on_gpu ? forecast.gpu : forecast.host) += piece.bytes;
  }
  const ProcessMemory now = process_memory();
  // An evaluation gives back a part of what it took.
  const std::size_t held = at == ForecastAt::evaluated ? now.peak : now.resident;
  pieces.push_back({"the program and its kernels' scratch", held - std::min(taken, held)});
  forecast.host = std::max(forecast.host + pieces.back().bytes, now.peak);
  return forecast;
}

void require_memory(const MemoryForecast& before) {
  const auto available = static_cast<std::size_t>(read_machine().available);
  const std::size_t resident = process_memory().resident;
  if (available == 0 || before.host <= resident + available) return;
  const auto on_host = [](const MemoryPiece& piece) { return piece.on_gpu ? 0 : piece.bytes; };
  const auto largest = std::max_element(
      before.pieces.begin(), before.pieces.end(),
      [&](const MemoryPiece& a, const MemoryPiece& b) { return on_host(a) < on_host(b); });
  const bool step = largest->name.starts_with("activations");
  throw Error(fmt::format(
      "out of memory: this training takes about {}, of which {} {}, and {} are available: {}",
      readable_bytes(before.host), readable_bytes(largest->bytes), largest->name,
      readable_bytes(available), step ? kSmallerStep : kSmallerModel));
}

std::string describe(const MemoryForecast& forecast) {
  if (forecast.gpu == 0) return fmt::format("about {} of memory", readable_bytes(forecast.host));
  return fmt::format("about {} of the GPU's memory and {} of the host's",
                     readable_bytes(forecast.gpu), readable_bytes(forecast.host));
}

std::string to_table(const MemoryForecast& forecast) {
  std::string text;
  const auto line = [&](const std::string& name, std::size_t bytes) {
    text += fmt::format("  {:<36} {:>10.1f} MiB\n", name, mebibytes(bytes));
  };
  for (const bool gpu : {true, false}) {
    if (gpu && forecast.gpu == 0) continue;
    for (const MemoryPiece& piece : forecast.pieces) {
      if (piece.on_gpu == gpu) line(piece.name, piece.bytes);
    }
    line(gpu ? "on the GPU, but for scratch" : "peak of the process",
         gpu ? forecast.gpu : forecast.host);
  }
  return text;
}

nlohmann::ordered_json to_json(const MemoryForecast& forecast) {
  nlohmann::ordered_json json;
  json["host_bytes"] = forecast.host;
  json["gpu_bytes"] = forecast.gpu;
  for (const MemoryPiece& piece : forecast.pieces) {
    json["pieces"].push_back(
        {{"name", piece.name}, {"bytes", piece.bytes}, {"on", piece.on_gpu ? "gpu" : "host"}});
  }
  return json;
}

}  // namespace masque
