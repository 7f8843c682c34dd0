// A generation that is about to begin, and what came of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/sample/request.h"
#include "models/run.h"

namespace masque {

inline constexpr const char* kRule = "----------------------------------------";  // between texts

struct SamplePlan {
  bool causal = false;
  std::int64_t n = 1, T = 0;
  std::int64_t given = 0;           // tokens of each sequence; the others are wanted
  std::vector<std::int32_t> start;  // (n,T) [MASK] where a token is wanted
  std::string strategy;
  std::int64_t steps = 0;
  SampleOptions options;  // of AR the draw alone

  std::int64_t wanted() const { return T - given; }
};

// InputError for what the run cannot do.
SamplePlan make_plan(const SampleRequest& request, const Run& run);
// What the user should know of it beforehand, or empty.
std::string note_on(const SamplePlan& plan, const Run& run);
SampleResult generate(const SamplePlan& plan, Run& run, const Watch& watch);

struct Samples {
  SamplePlan plan;
  SampleResult result;  // ids (n,T)

  // Of one text, without [START].
  std::vector<std::int32_t> ids(std::int64_t sequence) const;
  double tokens_per_second() const;
  // "low_confidence, 64 steps, 64 forwards a sample in 0.41 s, 156 tokens/s"
  std::string summary() const;
};

}  // namespace masque
