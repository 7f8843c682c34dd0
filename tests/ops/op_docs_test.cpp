// docs/numerics.md and docs/adding-an-op.md say what the code says.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "tests/support/op_case.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

const std::filesystem::path kRoot = MASQUE_ROOT;

std::string text_of(const std::string& path) {
  std::ifstream file(kRoot / path);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string limit_in_table(const std::string& table, const std::string& name) {
  const std::size_t row = table.find("\n| " + name + " | ");
  if (row == std::string::npos) return "no row";
  const std::size_t end = table.find(" |\n", row + 1);
  const std::size_t cell = table.rfind("| ", end) + 2;
  return table.substr(cell, end - cell);
}

}  // namespace

TEST_CASE("docs/numerics.md has the f32 limit of every op case", "[cpu]") {
  const std::string table = text_of("docs/numerics.md");
  std::map<std::string, double> limits;
  for (const OpCase& op : all_cases()) limits[op.name] = op.f32_limit;
  for (const auto& entry : limits) {
    INFO("put the row of masque-gradcheck " << entry.first << " --table there");
    CHECK(entry.first + " " + limit_in_table(table, entry.first) ==
          fmt::format("{} {:.1e}", entry.first, entry.second));
  }
}

TEST_CASE("docs/adding-an-op.md quotes the code as it is", "[cpu]") {
  const std::string document = text_of("docs/adding-an-op.md");
  const std::string code = text_of("kernels/gelu.h") + text_of("kernels/gelu.cpp") +
                           text_of("kernels/gelu.cu") + text_of("core/ops.cpp") +
                           text_of("tests/ops/gelu_case.cpp");
  const std::string fence = "```cpp\n";
  int excerpts = 0;
  for (std::size_t at = document.find(fence); at != std::string::npos;
       at = document.find(fence, at)) {
    at += fence.size();
    const std::string excerpt = document.substr(at, document.find("```", at) - at);
    INFO(excerpt);
    CHECK(code.find(excerpt) != std::string::npos);
    ++excerpts;
  }
  CHECK(excerpts >= 9);
}

}  // namespace masque::test
