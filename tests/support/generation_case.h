// What generation on a device must repeat: whole generations by the host's way, and by the
// device's, with all that a Watch sees.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "models/device_sampler.h"
#include "tests/support/tiny_network.h"

namespace masque::test {

struct Generated {
  std::vector<std::int32_t> ids;
  std::int64_t forwards = 0;
  std::vector<std::int64_t> sequence_forwards;
  // By the Watch; probabilities −1 where it saw none.
  std::vector<std::vector<std::int32_t>> seen;
  std::vector<double> probabilities;

  // Probabilities up to the rounding of logits in f32: the two ways batch rows differently.
  bool operator==(const Generated& other) const {
    for (std::size_t i = 0; i < probabilities.size(); ++i) {
      if (i >= other.probabilities.size()) return false;
      if (std::abs(probabilities[i] - other.probabilities[i]) > 1e-5) return false;
    }
    return ids == other.ids && forwards == other.forwards && seen == other.seen &&
           sequence_forwards == other.sequence_forwards &&
           probabilities.size() == other.probabilities.size();
  }
};

enum class By { host, device, device_unwatched };

// Runs `sample(watch)` and keeps what it gave.
template <class Sample>
Generated watched(By by, const Sample& sample) {
  Generated generated;
  const Watch watch = [&](const StepReport& report) {
    generated.seen.emplace_back(report.sequences.begin(), report.sequences.end());
    for (const double p : report.probabilities) {
      generated.probabilities.push_back(std::isnan(p) ? -1 : p);
    }
  };
  const SampleResult result = sample(by == By::device_unwatched ? Watch{} : watch);
  generated.ids = result.ids;
  generated.forwards = result.forwards;
  generated.sequence_forwards = result.sequence_forwards;
  return generated;
}

struct LladaCase {
  SampleOptions options;
  std::int64_t T = 7;
  std::vector<std::int32_t> sequences = mixed_rows();

  static constexpr std::int32_t kM = Tokenizer::kMask;

  // Masks alone, nothing masked, blanks in the middle, a prompt.
  static std::vector<std::int32_t> mixed_rows() {
    return {kM, kM, kM, kM, kM, kM, kM,  //
            4,  5,  6,  7,  8,  9,  10,  //
            10, kM, kM, 11, kM, 12, 13,  //
            5,  6,  7,  kM, kM, kM, kM};
  }

  Generated run(Network& network, By by) const {
    const std::vector<std::uint8_t> excluded = TinyNetwork::excluded();
    return watched(by, [&](const Watch& watch) {
      return by == By::host
                 ? sample_llada(network, sequences, T, excluded, options, watch)
                 : sample_llada_on_device(network, sequences, T, excluded, options, watch);
    });
  }
};

struct ArCase {
  DrawOptions options;
  std::int64_t n = 2, length = 5;
  std::vector<std::int32_t> prompt = {Tokenizer::kStart, 7, 9};

  Generated run(Network& network, By by) const {
    const std::vector<std::uint8_t> excluded = TinyNetwork::excluded();
    return watched(by, [&](const Watch& watch) {
      return by == By::host
                 ? sample_ar(*network.make_decoder(n), n, prompt, length, network.vocab_size(),
                             excluded, options, watch)
                 : sample_ar_on_device(network, n, prompt, length, excluded, options, watch);
    });
  }
};

inline LladaCase llada_case(const std::string& strategy, std::int64_t steps,
                            const DrawOptions& draw = {}) {
  return {{strategy, steps, draw}};
}

// The most probable, the distribution itself, one cut both ways.
inline std::vector<DrawOptions> draws() {
  return {
      {.temperature = 0}, {.seed = 3}, {.temperature = 0.8, .top_k = 9, .top_p = 0.9, .seed = 4}};
}

// The strategies that a device has.
inline std::vector<std::string> device_strategies() {
  std::vector<std::string> names = strategy_names();
  std::erase_if(names, [](const std::string& name) { return !make_strategy(name)->has_plan(); });
  return names;
}

// Each strategy, whole and in blocks: with as many steps as masks, fewer, and more, and every draw;
// or, `quick`, with one of these each.
inline std::vector<LladaCase> llada_cases(bool quick) {
  const std::vector<std::int64_t> steps = {0, 3, 11};
  const std::vector<std::string> strategies = device_strategies();
  std::vector<LladaCase> cases;
  for (std::size_t k = 0; k < strategies.size(); ++k) {
    for (const std::size_t block_length : {2, 3}) {
      if (quick && block_length != 2 + k % 2) continue;
      cases.push_back(llada_case(strategies[k], block_length == 2 ? 5 : 0, draws()[1]));
      cases.back().options.block_length = static_cast<std::int64_t>(block_length);
    }
    for (std::size_t i = 0; i < steps.size(); ++i) {
      for (std::size_t j = 0; j < draws().size(); ++j) {
        if (quick && (i != k % 3 || j != k % 3)) continue;
        cases.push_back(llada_case(strategies[k], steps[i], draws()[j]));
      }
    }
  }
  return cases;
}

}  // namespace masque::test
