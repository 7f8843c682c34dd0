#include "models/device_sampler.h"

#include "tests/support/catch.h"
#include "tests/support/generation_case.h"

namespace masque::test {
namespace {

using Ids = std::vector<std::int32_t>;

TEST_CASE("a device generates what the host does", "[sampler][cpu]") {
  TinyNetwork tiny(ObjectiveKind::llada, On<Cpu, double>{});
  for (const LladaCase& generation : llada_cases(false)) {
    CAPTURE(generation.options.strategy, generation.options.steps,
            generation.options.draw.temperature);
    const Generated host = generation.run(tiny.network(), By::host);
    CHECK(generation.run(tiny.network(), By::device) == host);
    const Generated unwatched = generation.run(tiny.network(), By::device_unwatched);
    CHECK(unwatched.ids == host.ids);
    CHECK(unwatched.forwards == host.forwards);
  }
}

TEST_CASE("a device continues what the host does", "[sampler][cpu]") {
  TinyNetwork tiny(ObjectiveKind::ar, On<Cpu, double>{});
  for (const DrawOptions& draw : draws()) {
    for (const ArCase& generation :
         {ArCase{draw}, ArCase{draw, 1, 8, {Tokenizer::kStart}}, ArCase{draw, 2, 0}}) {
      const Generated host = generation.run(tiny.network(), By::host);
      CHECK(generation.run(tiny.network(), By::device) == host);
      CHECK(generation.run(tiny.network(), By::device_unwatched).ids == host.ids);
    }
  }
}

TEST_CASE("on a device, nothing masked needs no forward", "[sampler][cpu]") {
  TinyNetwork tiny(ObjectiveKind::llada, On<Cpu, double>{});
  LladaCase generation = llada_case("low_confidence", 5);
  generation.sequences.assign(7, 6);
  const Generated result = generation.run(tiny.network(), By::device);
  CHECK(result == generation.run(tiny.network(), By::host));
  CHECK(result.ids == generation.sequences);
  CHECK(result.forwards == 0);
}

TEST_CASE("a device refuses what the host refuses", "[sampler][cpu]") {
  TinyNetwork llada(ObjectiveKind::llada, On<Cpu, double>{}),
      ar(ObjectiveKind::ar, On<Cpu, double>{});
  const auto refusal = [](auto generation, Network& network) {
    std::vector<std::string> messages;
    for (const By by : {By::host, By::device}) {
      try {
        generation.run(network, by);
        messages.emplace_back("none");
      } catch (const Error& error) {
        messages.emplace_back(error.what());
      }
    }
    CHECK(messages[0] != "none");
    CHECK(messages[1] == messages[0]);
    return messages[0];
  };
  CHECK_THAT(refusal(llada_case("ancestrall", 0), llada.network()),
             Catch::Contains("unknown strategy 'ancestrall'"));
  CHECK_THAT(refusal(llada_case("ancestral", -1), llada.network()), Catch::Contains("steps is -1"));
  CHECK_THAT(refusal(llada_case("ancestral", 0, {.temperature = -1}), llada.network()),
             Catch::Contains("temperature is -1"));
  LladaCase too_long;
  too_long.T = 10;
  too_long.sequences = Ids(10, Tokenizer::kMask);
  CHECK_THAT(refusal(too_long, llada.network()), Catch::Contains("the context, 9"));
  CHECK_THAT(refusal(ArCase{{.top_p = 0}}, ar.network()), Catch::Contains("top-p is 0"));
  CHECK_THAT(refusal(ArCase{{}, 2, 8}, ar.network()), Catch::Contains("exceed the context of 9"));
  CHECK_THAT(refusal(ArCase{{}, 2, 1}, llada.network()), Catch::Contains("no key-value cache"));
  llada.diverge();
  const LladaCase plain;
  CHECK_THROWS_WITH(plain.run(llada.network(), By::device),
                    Catch::Contains("the logits of row 0 of 28 hold NaN"));
}

TEST_CASE("a device refuses strategies without a plan, and guidance", "[sampler][cpu]") {
  TinyNetwork llada(ObjectiveKind::llada, On<Cpu, double>{});
  LladaCase guided = llada_case("max_prob", 3);
  guided.options.guidance = 2;
  guided.sequences = {4, 5, LladaCase::kM, LladaCase::kM, 6, LladaCase::kM, LladaCase::kM};
  CHECK_NOTHROW(guided.run(llada.network(), By::host));
  CHECK_THROWS_WITH(guided.run(llada.network(), By::device),
                    Catch::Contains("max_prob with guidance 2 does not generate on a device"));
  CHECK(!generates_on_device(guided.options));
  guided.options.guidance = 0;
  CHECK(generates_on_device(guided.options));
  for (const std::string strategy : {"threshold", "remask"}) {
    CHECK(!generates_on_device(llada_case(strategy, 3).options));
    CHECK_THROWS_AS(llada_case(strategy, 3).run(llada.network(), By::device), Error);
  }
}

TEST_CASE("generation on the CPU is the host's", "[sampler][cpu]") {
  TinyNetwork llada(ObjectiveKind::llada, On<Cpu, float>{}),
      ar(ObjectiveKind::ar, On<Cpu, float>{});
  const LladaCase masked = llada_case("low_confidence", 4);
  CHECK(generate_llada(llada.network(), masked.sequences, masked.T, TinyNetwork::excluded(),
                       masked.options)
            .ids == masked.run(llada.network(), By::host).ids);
  const ArCase causal;
  CHECK(generate_ar(ar.network(), causal.n, causal.prompt, causal.length, TinyNetwork::excluded(),
                    causal.options)
            .ids == causal.run(ar.network(), By::host).ids);
}

}  // namespace
}  // namespace masque::test
