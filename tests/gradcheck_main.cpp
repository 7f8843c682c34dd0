// masque-gradcheck: every op case and every whole-model loss, checked and shown as a table.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "tests/support/gradcheck.h"

namespace {

using masque::test::Finding;
using masque::test::OpCase;

constexpr int kTensorWidth = 25;  // dblocks.0.attn.out.weight

constexpr const char* kUsage = R"(usage: masque-gradcheck [FILTER] [--list] [--table]

Checks every op and every whole-model loss on the CPU: gradients in f64 against finite differences,
f32 against f64, bits over runs and threads, and what the attention mask lets through.

  FILTER    only cases whose name and shape contain it
  --list    names the cases, checks nothing
  --table   prints the table of docs/numerics.md: the largest errors of each case and their limit

example: masque-gradcheck attention
exit code: 0 all passed, 1 some failed, 2 bad usage
)";

struct Options {
  std::string filter;
  bool list = false, table = false, help = false;
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  for (const std::string& argument : arguments) {
    if (argument == "--list") {
      options.list = true;
    } else if (argument == "--table") {
      options.table = true;
    } else if (argument == "--help" || argument == "-h") {
      options.help = true;
    } else if (argument.rfind('-', 0) == 0) {
      throw masque::InputError(
          fmt::format("{}: unknown option; use --list, --table or --help", argument));
    } else if (!options.filter.empty()) {
      throw masque::InputError(
          fmt::format("{}: a second filter after {}; give one", argument, options.filter));
    } else {
      options.filter = argument;
    }
  }
  return options;
}

std::vector<OpCase> selected(const std::string& filter) {
  std::vector<OpCase> cases;
  for (const OpCase& op : masque::test::all_cases()) {
    if (op.benchmark || (op.name + " " + op.variant).find(filter) == std::string::npos) continue;
    cases.push_back(op);
  }
  if (cases.empty()) {
    throw masque::InputError(fmt::format("{}: no case has it in its name; see --list", filter));
  }
  return cases;
}

std::size_t width_of(const std::vector<OpCase>& cases, std::string OpCase::*field,
                     std::size_t least) {
  for (const OpCase& op : cases) least = std::max(least, (op.*field).size());
  return least;
}

int check(const std::vector<OpCase>& cases) {
  const std::size_t name_width = width_of(cases, &OpCase::name, 4);
  const std::size_t variant_width = width_of(cases, &OpCase::variant, 5);
  fmt::print("{:<{}}  {:<{}}  {:<8}  {:<{}}  {:>7}  {:>7}\n", "case", name_width, "shape",
             variant_width, "check", "tensor", kTensorWidth, "error", "limit");
  int passed = 0, failed = 0;
  for (const OpCase& op : cases) {
    std::string name = op.name, variant = op.variant, last_check;
    for (const Finding& finding : masque::test::check_all(op)) {
      const bool exact = finding.check == "bits" || finding.check == "mask";
      const std::string error =
          exact ? fmt::format("{}", finding.error) : fmt::format("{:.1e}", finding.error);
      const std::string limit =
          exact ? fmt::format("{}", finding.limit) : fmt::format("{:.1e}", finding.limit);
      fmt::print("{:<{}}  {:<{}}  {:<8}  {:<{}}  {:>7}  {:>7}  {}\n", name, name_width, variant,
                 variant_width, finding.check == last_check ? "" : finding.check, finding.tensor,
                 kTensorWidth, error, limit, finding.passed() ? "pass" : "FAIL");
      ++(finding.passed() ? passed : failed);
      name.clear();
      variant.clear();
      last_check = finding.check;
    }
    std::fflush(stdout);
  }
  fmt::print("\n{} passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

// Largest errors over a case's shapes and tensors.
int table(const std::vector<OpCase>& cases) {
  struct Row {
    double gradient = -1, f32 = 0, limit = 0;  // -1: the op has no gradient
  };
  std::map<std::string, Row> rows;
  for (const OpCase& op : cases) {
    Row& row = rows[op.name];
    row.limit = op.f32_limit;
    for (const Finding& finding : masque::test::check_gradient(op)) {
      row.gradient = std::max(row.gradient, finding.error);
    }
    for (const Finding& finding :
         masque::test::check_accuracy(op, masque::On<masque::Cpu, float>{})) {
      row.f32 = std::max(row.f32, finding.error);
    }
  }
  fmt::print("| case | gradient | f32 | f32 limit |\n|---|---|---|---|\n");
  for (const auto& entry : rows) {
    const Row& row = entry.second;
    fmt::print("| {} | {} | {:.1e} | {:.1e} |\n", entry.first,
               row.gradient < 0 ? "–" : fmt::format("{:.1e}", row.gradient), row.f32, row.limit);
  }
  return 0;
}

int run(const Options& options) {
  if (options.help) {
    fmt::print("{}", kUsage);
    return 0;
  }
  const std::vector<OpCase> cases = selected(options.filter);
  if (options.table) return table(cases);
  if (!options.list) return check(cases);
  for (const OpCase& op : cases) fmt::print("{} {}\n", op.name, op.variant);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse({argv + 1, argv + argc}));
  } catch (const masque::InputError& error) {
    fmt::print(stderr, "masque-gradcheck: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "masque-gradcheck: {}\n", error.what());
    return 1;
  }
}
