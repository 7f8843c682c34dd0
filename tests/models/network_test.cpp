#include "models/network.h"

#include <random>

#include "core/index.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"
#include "tests/support/cpu_levels.h"

namespace masque::test {
namespace {

ModelConfig model(ObjectiveKind objective, bool modern) {
  RunConfig config;
  config.model.objective = objective;
  config.model.vocab_size = 23;
  config.model.context = 24;
  config.model.layers = 3;
  config.model.heads = 2;
  config.model.width = 32;
  config.model.dropout = 0.5;  // must not act outside training
  if (modern) {
    config.model.norm = "rmsnorm";
    config.model.mlp = "swiglu";
    config.model.position = "rope";
    config.model.bias = false;
  } else {
    config.model.tied = true;
  }
  return resolve(config).model;
}

// Weights far from their initial values, so that every part matters.
void scramble(Transformer& transformer) {
  std::mt19937 generator(5);
  std::normal_distribution<double> normal(0, 0.2);
  for (const Parameter& parameter : transformer.parameters().parameters()) {
    std::vector<double> values = transformer.parameters().read(parameter);
    for (double& value : values) value += normal(generator);
    transformer.parameters().write(parameter, values);
  }
}

std::vector<std::int32_t> random_ids(std::int64_t count) {
  std::mt19937 generator(11);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for (std::int32_t& id : ids) id = 4 + static_cast<std::int32_t>(generator() % 19);
  return ids;
}

std::vector<double> all_logits(Network& network, std::span<const std::int32_t> ids, std::int64_t B,
                               std::int64_t T, std::span<const std::int32_t> lengths = {}) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(B * T));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  std::vector<double> logits(rows.size() * static_cast<std::size_t>(network.vocab_size()));
  network.predict({ids, lengths, B, T, rows}, logits);
  return logits;
}

TEST_CASE("cached logits equal uncached ones, however the tokens arrive", "[cpu]") {
  const bool modern = GENERATE(false, true);
  constexpr std::int64_t B = 3, T = 24, V = 23;
  Transformer transformer(model(ObjectiveKind::ar, modern), On<Cpu, float>{});
  transformer.initialise(1);
  scramble(transformer);
  Network network(transformer);
  const std::vector<std::int32_t> ids = random_ids(B * T);
  const std::vector<double> whole = all_logits(network, ids, B, T);

  const std::vector<std::int64_t> pieces =
      GENERATE(std::vector<std::int64_t>{24}, std::vector<std::int64_t>(24, 1),
               std::vector<std::int64_t>{7, 1, 1, 11, 4});
  const auto decoder = network.make_decoder(B);
  std::int64_t past = 0;
  for (const std::int64_t n : pieces) {
    std::vector<std::int32_t> piece;
    for (std::int64_t b = 0; b < B; ++b) {
      piece.insert(piece.end(), ids.begin() + b * T + past, ids.begin() + b * T + past + n);
    }
    const auto logits = decoder->append(piece, n);
    past += n;
    for (std::int64_t b = 0; b < B; ++b) {
      for (std::int64_t v = 0; v < V; ++v) {
        const double expected = whole[static_cast<std::size_t>((b * T + past - 1) * V + v)];
        REQUIRE(std::abs(logits[static_cast<std::size_t>(b * V + v)] - expected) < 1e-5);
      }
    }
  }
  CHECK_THROWS_WITH(decoder->append(random_ids(B), 1),
                    Catch::Contains("1 tokens after 24 exceed the context of 24"));
}

TEST_CASE("logits after new tokens are (B,V), of one token too", "[cpu]") {
  constexpr std::int64_t B = 2;
  Transformer transformer(model(ObjectiveKind::ar, false), On<Cpu, float>{});
  Network network(transformer);
  const auto decoder = network.make_decoder(B);
  for (const std::int64_t n : {3, 1}) {
    std::vector<std::int32_t> ids = random_ids(B * n);
    const Tensor logits = decoder->append(Tensor{{B, n}, DType::i32, ids.data(), nullptr, -1});
    CHECK(logits.shape == Shape{B, 23});
  }
}

// The sequences of `ids` (B,24) numbered in `rows` through a network, and then, of an AR, through
// its decoder: logits (rows,24,V) and (rows,V) after 5, 6 … 24 tokens.
std::vector<double> logits_of_rows(Network& network, const std::vector<std::int32_t>& ids,
                                   const std::vector<std::int64_t>& rows) {
  constexpr std::int64_t T = 24;
  const auto B = static_cast<std::int64_t>(rows.size());
  std::vector<std::int32_t> batch;
  for (const std::int64_t row : rows) {
    batch.insert(batch.end(), ids.begin() + row * T, ids.begin() + (row + 1) * T);
  }
  std::vector<double> all = all_logits(network, batch, B, T);
  if (!network.transformer().causal()) return all;
  const auto decoder = network.make_decoder(B);
  for (std::int64_t past = 0; past < T;) {
    const std::int64_t n = past == 0 ? 5 : 1;
    std::vector<std::int32_t> piece;
    for (std::int64_t b = 0; b < B; ++b) {
      const auto begin = batch.begin() + b * T + past;
      piece.insert(piece.end(), begin, begin + n);
    }
    const auto logits = decoder->append(piece, n);
    all.insert(all.end(), logits.begin(), logits.end());
    past += n;
  }
  return all;
}

TEST_CASE("a sequence's logits are the same bits in any batch and on any number of threads",
          "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const Device device = GENERATE(Device(On<Cpu, float>{}), Device(On<Cpu, bf16>{}));
  constexpr std::int64_t T = 24, V = 23, most = 70;
  Transformer transformer(model(objective, true), device);
  transformer.initialise(1);
  scramble(transformer);
  const std::vector<std::int32_t> ids = random_ids(most * T);
  at_every_cpu_level([&] {
    Network network(transformer);
    const auto alone = logits_of_rows(network, ids, {5});
    for (const std::int64_t B : {2, 3, 16, 17, 70}) {  // 70: several shares a thread
      for (const int threads : {1, 2, 3}) {
        std::vector<std::int64_t> rows(static_cast<std::size_t>(B));
        for (std::int64_t b = 0; b < B; ++b) rows[static_cast<std::size_t>(b)] = b == B - 1 ? 5 : b;
        const auto batch =
            with_threads(threads, [&] { return logits_of_rows(network, ids, rows); });
        std::int64_t different = 0, first = -1;  // numbers
        for (std::int64_t i = 0; i < std::ssize(alone); ++i) {
          // A sequence's share of what predict answered, or one append.
          const bool predicted = i < T * V;
          const std::int64_t chunk = predicted ? T * V : V,
                             within = predicted ? i : (i - T * V) % V;
          const std::int64_t start = predicted ? 0 : B * T * V + (i - T * V) / V * B * V;
          const std::int64_t index = start + (B - 1) * chunk + within;
          if (alone[at(i)] == batch[at(index)]) continue;
          if (++different == 1) first = i;
        }
        CAPTURE(first);
        CAPTURE(B, threads);
        CHECK(different == 0);
      }
    }
  });
}

TEST_CASE("ids and rows that are not there are refused", "[cpu]") {
  Transformer transformer(model(ObjectiveKind::ar, false), On<Cpu, float>{});
  Network network(transformer);
  std::vector<double> logits(23);
  const auto predict = [&](std::vector<std::int32_t> ids, std::int64_t row) {
    network.predict({ids, {}, 1, 2, std::span(&row, 1)}, logits);
  };
  CHECK_NOTHROW(predict({0, 22}, 1));
  CHECK_THROWS_WITH(predict({0, 23}, 1), "network: id 23 for a vocabulary of 23");
  CHECK_THROWS_WITH(predict({-1, 0}, 1), "network: id -1 for a vocabulary of 23");
  CHECK_THROWS_WITH(predict({0, 22}, 2), "network: row 2 of 1 sequences of 2");
  CHECK_THROWS_WITH(predict({0, 22}, -1), "network: row -1 of 1 sequences of 2");
  CHECK_THROWS_WITH(network.make_decoder(1)->append(std::vector<std::int32_t>{23}, 1),
                    "network: id 23 for a vocabulary of 23");
}

TEST_CASE("a masked diffusion network has no decoder", "[cpu]") {
  Transformer transformer(model(ObjectiveKind::llada, false), On<Cpu, float>{});
  Network network(transformer);
  CHECK_THROWS_WITH(network.make_decoder(1), Catch::Contains("no key-value cache"));
}

TEST_CASE("padding past a row's length changes nothing before it", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const bool modern = GENERATE(false, true);
  Transformer transformer(model(objective, modern), On<Cpu, double>{});
  transformer.initialise(1);
  scramble(transformer);
  Network network(transformer);
  const std::vector<std::int32_t> lengths{5};
  std::vector<std::int32_t> ids = random_ids(9);
  const std::vector<double> first = all_logits(network, ids, 1, 9, lengths);
  for (std::size_t i = 5; i < 9; ++i) ids[i] = 0;
  const std::vector<double> second = all_logits(network, ids, 1, 9, lengths);
  const std::vector<double> shorter =
      all_logits(network, std::span<const std::int32_t>(ids).first(5), 1, 5);
  for (std::size_t i = 0; i < 5 * 23; ++i) {
    REQUIRE(first[i] == second[i]);
    REQUIRE(first[i] == Approx(shorter[i]).margin(1e-12));
  }
}

TEST_CASE("logits of some positions are those of all", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const bool modern = GENERATE(false, true);
  constexpr std::int64_t B = 2, T = 9, V = 23;
  Transformer transformer(model(objective, modern), On<Cpu, double>{});
  transformer.initialise(1);
  scramble(transformer);
  Network network(transformer);
  const std::vector<std::int32_t> ids = random_ids(B * T), lengths{9, 6};
  const std::vector<double> all = all_logits(network, ids, B, T, lengths);
  const std::vector<std::int64_t> rows{14, 3, 0};
  std::vector<double> some(rows.size() * V);
  network.predict({ids, lengths, B, T, rows}, some);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t v = 0; v < V; ++v) {
      const std::size_t at = static_cast<std::size_t>(rows[row]) * V + v;
      REQUIRE(some[row * V + v] == Approx(all[at]).margin(1e-12));
    }
  }
}

TEST_CASE("a token reaches the positions that the objective allows", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const bool modern = GENERATE(false, true);
  Transformer transformer(model(objective, modern), On<Cpu, double>{});
  transformer.initialise(1);
  scramble(transformer);
  Network network(transformer);
  std::vector<std::int32_t> ids = random_ids(9);
  const std::vector<double> before = all_logits(network, ids, 1, 9);
  ids[4] = ids[4] == 4 ? 5 : 4;
  const std::vector<double> after = all_logits(network, ids, 1, 9);
  for (std::size_t i = 0; i < 9; ++i) {
    const bool changed = before[i * 23] != after[i * 23];
    CHECK(changed == (objective == ObjectiveKind::llada || i >= 4));
  }
}

TEST_CASE("parameters are counted without a model", "[cpu]") {
  for (const bool modern : {false, true}) {
    const ModelConfig config = model(ObjectiveKind::llada, modern);
    CHECK(Transformer::parameter_count(config) ==
          Transformer(config, On<Cpu, float>{}).parameters().count());
  }
  ModelConfig largest;  // that config.json may ask for
  largest.vocab_size = largest.context = largest.width = largest.mlp_width = 1 << 24;
  largest.layers = 250;
  largest.mlp = "swiglu";
  CHECK(Transformer::parameter_count(largest) > std::int64_t{250 * 7} << 48);
}

TEST_CASE("initialisation follows GPT-2: scaled residual projections, unit norms", "[cpu]") {
  Transformer transformer(model(ObjectiveKind::ar, false), On<Cpu, float>{});
  transformer.initialise(1);
  for (const Parameter& parameter : transformer.parameters().parameters()) {
    const std::vector<double> values = transformer.parameters().read(parameter);
    double square = 0;
    for (const double value : values) square += value * value;
    const double std = std::sqrt(square / static_cast<double>(values.size()));
    INFO(parameter.name << " has deviation " << std);
    if (!parameter.matrix) {
      CHECK(std == (parameter.name.find("norm") != std::string::npos &&
                            parameter.name.find("weight") != std::string::npos
                        ? 1
                        : 0));
    } else if (parameter.name.find(".out.") != std::string::npos ||
               parameter.name.find(".down.") != std::string::npos) {
      CHECK(std == Approx(0.02 / std::sqrt(6.0)).epsilon(0.1));
    } else {
      CHECK(std == Approx(0.02).epsilon(0.15));
    }
  }
}

}  // namespace
}  // namespace masque::test
