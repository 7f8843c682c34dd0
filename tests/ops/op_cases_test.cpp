// Every op case through every check. masque-gradcheck shows the same as a table.
#include <map>
#include <set>
#include <string>

#include "tests/support/gradcheck.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"
#include "tests/support/cpu_levels.h"

namespace masque::test {
namespace {

void require_passed(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    INFO(finding.name << " " << finding.variant << ": " << finding.check << " of " << finding.tensor
                      << " is off by " << finding.error << ", limit " << finding.limit);
    CHECK(finding.passed());
  }
}

template <class Check>
void check_every_case(Check check) {
  for (const OpCase& op : all_cases()) {
    if (!op.benchmark) require_passed(check(op));
  }
}

}  // namespace

TEST_CASE("op cases: gradients are those of finite differences", "[cpu][slow]") {
  check_every_case(check_gradient);
}

TEST_CASE("op cases: f32 is as close to f64 as its limit says, at every level", "[cpu]") {
  at_every_cpu_level([] {
    check_every_case([](const OpCase& op) { return check_accuracy(op, On<Cpu, float>{}); });
  });
}

TEST_CASE("op cases: bf16 is as exact as f32 rounded, at every level", "[cpu]") {
  at_every_cpu_level([] {
    check_every_case([](const OpCase& op) { return check_accuracy(op, On<Cpu, bf16>{}); });
  });
}

TEST_CASE("op cases: bits depend neither on the run nor on the number of threads", "[cpu]") {
  check_every_case(check_bits);
}

TEST_CASE("op cases: a position reaches what its mask says and nothing else", "[cpu]") {
  check_every_case(check_mask);
}

TEST_CASE("op cases: every op has them, each named once", "[cpu]") {
  std::set<std::string> names, full_names;
  for (const OpCase& op : all_cases()) {
    names.insert(op.name);
    INFO(op.name << " " << op.variant);
    CHECK(full_names.insert(op.name + " " + op.variant).second);
  }
  for (const char* name : {"adamw", "ar_loss", "attention", "classifier_loss", "embedding", "gelu",
                           "global_norm", "layernorm", "linear", "llada_loss",
                           "masked_cross_entropy", "random_mask", "rmsnorm", "rope", "swiglu"}) {
    INFO(name);
    CHECK(names.count(name) == 1);
  }
}

TEST_CASE("op cases: the f32 limit of an op is one number, at most 1e-5", "[cpu]") {
  std::map<std::string, double> limits;
  for (const OpCase& op : all_cases()) {
    INFO(op.name << " " << op.variant);
    CHECK(op.f32_limit > 0);
    CHECK(op.f32_limit <= kLargestF32Limit);
    CHECK(limits.emplace(op.name, op.f32_limit).first->second == op.f32_limit);
  }
}

}  // namespace masque::test
