// Golden vectors (golden_vectors.h): tests/gpu/golden/ holds emulated.txt and, for each GPU that
// they were recorded on, one file more. Every device is held against all of them.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

#include "tests/gpu/golden_vectors.h"
#include "tests/support/device_array.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

using Words = std::vector<std::uint32_t>;

// Where the files are: in the tree that this program was built in, or, where it was carried
// elsewhere, $MASQUE_GOLDEN.
std::filesystem::path golden_folder() {
  if (const char* folder = std::getenv("MASQUE_GOLDEN")) return folder;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  for (auto above = program.parent_path(); above != above.root_path();
       above = above.parent_path()) {
    const std::filesystem::path folder = above / "tests/gpu/golden";
    if (std::filesystem::is_directory(folder)) return folder;
  }
  throw std::runtime_error("no folder tests/gpu/golden above " + program.string() +
                           ": give it as MASQUE_GOLDEN");
}

// A name a line, below it its words in hex, 8 a line, indented.
void write_golden(const std::filesystem::path& path, const std::vector<GoldenVector>& vectors) {
  std::ofstream file(path);
  file << "# golden vectors of " << gpu_name() << "\n";
  for (const GoldenVector& vector : vectors) {
    file << vector.name;
    for (std::size_t i = 0; i < vector.words.size(); ++i) {
      file << (i % 8 == 0 ? "\n  " : " ") << fmt::format("{:08x}", vector.words[i]);
    }
    file << "\n";
  }
  file.close();
  INFO(path);
  REQUIRE(file);
}

std::map<std::string, Words> read_golden(const std::filesystem::path& path) {
  std::map<std::string, Words> vectors;
  std::ifstream file(path);
  INFO(path);
  REQUIRE(file);
  Words* last = nullptr;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] != ' ') {
      last = &vectors[line];
      continue;
    }
    REQUIRE(last != nullptr);
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      last->push_back(static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
    }
  }
  return vectors;
}

float without_subnormal(std::uint32_t word) {
  const auto value = std::bit_cast<float>(word);
  return std::fpclassify(value) == FP_SUBNORMAL ? 0.0f : value;
}

// In ulps of f32; infinity where only one is NaN or the signs of large numbers differ.
double ulps_between(std::uint32_t left, std::uint32_t right) {
  const float a = without_subnormal(left), b = without_subnormal(right);
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b) ? 0 : HUGE_VAL;
  if (a == b) return 0;
  const auto step = [](float x) {  // ordered as the numbers are
    const auto bits = std::bit_cast<std::int32_t>(x);
    return bits < 0 ? -static_cast<double>(bits & 0x7fffffff) : static_cast<double>(bits);
  };
  return std::abs(step(a) - step(b));
}

bool same_bf16(std::uint32_t left, std::uint32_t right) {
  const auto nan = [](std::uint32_t half) { return (half & 0x7fffu) > 0x7f80u; };
  for (const int shift : {0, 16}) {
    const std::uint32_t a = left >> shift & 0xffffu, b = right >> shift & 0xffffu;
    if (a != b && !(nan(a) && nan(b))) return false;
  }
  return true;
}

// How far apart two words are, in the unit of `limit`; bits and bf16: 0 or infinity.
double difference(Match match, std::uint32_t left, std::uint32_t right) {
  switch (match) {
    case Match::bits:
      return left == right ? 0 : HUGE_VAL;
    case Match::bf16:
      return same_bf16(left, right) ? 0 : HUGE_VAL;
    case Match::ulps:
      return ulps_between(left, right);
    case Match::absolute:
      return std::abs(double{std::bit_cast<float>(left)} - double{std::bit_cast<float>(right)});
  }
  return HUGE_VAL;
}

std::vector<GoldenVector> of_this_device() {
  return golden_vectors(test_stream());
}

void compare(const std::vector<GoldenVector>& vectors, const std::filesystem::path& path) {
  const std::map<std::string, Words> golden = read_golden(path);
  CHECK(golden.size() == vectors.size());
  for (const GoldenVector& vector : vectors) {
    INFO(path.filename() << ", " << vector.name);
    const auto found = golden.find(vector.name);
    if (found == golden.end()) {
      FAIL_CHECK("not in the file: record it again");
      continue;
    }
    const Words& words = found->second;
    REQUIRE(words.size() == vector.words.size());
    std::size_t worst = 0;
    double largest = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
      const double apart = difference(vector.match, vector.words[i], words[i]);
      if (!(apart <= largest)) {
        largest = apart;
        worst = i;
      }
    }
    INFO(fmt::format("word {}: {:08x} here, {:08x} in the file; {} apart, limit {}", worst,
                     vector.words[worst], words[worst], largest, vector.limit));
    CHECK(largest <= vector.limit);
  }
}

}  // namespace

TEST_CASE("golden vectors: this device gives what others gave, emulated and real", "[gpu]") {
  const std::vector<GoldenVector> vectors = of_this_device();
  std::size_t recorded = 0;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder())) {
    if (entry.path().extension() == ".txt") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const std::filesystem::path& path : paths) {
    compare(vectors, path);
    if (path.filename() != "emulated.txt") ++recorded;
  }
  CHECK(paths.size() > recorded);  // emulated.txt is there
  if (recorded == 0) {
    WARN(
        "no golden vectors of a GPU in tests/gpu/golden: the emulator is held against nothing but "
        "itself until bench/gpu_check.sh correctness has run on one");
  }
}

TEST_CASE("golden vectors: a wrong word is found", "[gpu]") {
  CHECK(difference(Match::bits, 1, 2) > 0);
  CHECK(difference(Match::bf16, 0x3f803f80u, 0x3f803f81u) > 0);
  CHECK(difference(Match::bf16, 0x7fc03f80u, 0xffff3f80u) == 0);
  CHECK(difference(Match::bf16, 0x7fc03f80u, 0x7f803f80u) > 0);
  CHECK(difference(Match::ulps, 0x3f800000u, 0x3f800003u) == 3);
  CHECK(difference(Match::ulps, 0x3f800000u, 0x3f7fffffu) == 1);
  CHECK(difference(Match::ulps, 0x00000003u, 0x80000000u) == 0);
  CHECK(difference(Match::ulps, 0x7fc00000u, 0x3f800000u) == HUGE_VAL);
  CHECK(difference(Match::absolute, 0x3f800000u, 0x40000000u) == 1);
}

// Hidden: MASQUE_GOLDEN_OUT=FILE masque-tests "golden vectors: record*"
TEST_CASE("golden vectors: record this device's", "[.golden]") {
  const char* path = std::getenv("MASQUE_GOLDEN_OUT");
  INFO("MASQUE_GOLDEN_OUT must name the file to write");
  REQUIRE(path != nullptr);
  write_golden(path, of_this_device());
}

}  // namespace masque::test
