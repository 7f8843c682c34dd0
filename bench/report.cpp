#include "bench/report.h"

#include <fmt/format.h>

#include <ctime>

#include "apps/environment.h"
#include "apps/json.h"

namespace masque::bench {

nlohmann::ordered_json report(const std::string& benchmark, const Device& device,
                              const Ceilings& ceilings) {
  nlohmann::ordered_json json;
  json["benchmark"] = benchmark;
  json["date"] = utc(std::time(nullptr));
  json["machine"] = environment(device);
  json["ceilings"] = {{"copy_gb_s", ceilings.copy / 1e9},
                      {"product_gflop_s", ceilings.product / 1e9}};
  return json;
}

void print_head(const Device& device, const Ceilings& ceilings, const std::string& protocol) {
  const std::string cpu = environment(device)["cpu"];
  fmt::print("{} on {}; {}\n", describe(device), cpu, protocol);
  fmt::print("measured ceilings: copy {:.1f} GB/s, {} product {:.1f} GFLOP/s\n\n",
             ceilings.copy / 1e9, name_of(activation_dtype(device)), ceilings.product / 1e9);
}

std::string percent(double share) {
  return fmt::format("{:.0f}%", 100 * share);
}

std::string mebibytes(std::size_t bytes) {
  return fmt::format("{:.0f} MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace masque::bench
