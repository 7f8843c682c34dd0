// Whole generations on the GPU: the ids that the host draws from the same logits, with no wait in
// between.
#include "kernels/gpu.h"
#ifdef MASQUE_EMULATE
#include "kernels/emulator/host_waits.h"
#endif
#include "tests/support/generation_case.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

Device gpu(const char* dtype = "f32") {
  return make_device("cuda", dtype);
}

void check_llada(TinyNetwork& tiny, const LladaCase& generation) {
  CAPTURE(generation.options.strategy, generation.options.steps,
          generation.options.draw.temperature);
  CHECK(generation.run(tiny.network(), By::device) == generation.run(tiny.network(), By::host));
}

TEST_CASE("a GPU generates what the host does", "[gpu]") {
  TinyNetwork tiny(ObjectiveKind::llada, gpu());
  for (const LladaCase& generation : llada_cases(true)) check_llada(tiny, generation);
}

TEST_CASE("a GPU continues what the host does", "[gpu]") {
  TinyNetwork tiny(ObjectiveKind::ar, gpu());
  for (const DrawOptions& draw : draws()) {
    const ArCase generation{draw};
    CHECK(generation.run(tiny.network(), By::device) == generation.run(tiny.network(), By::host));
  }
  const ArCase alone{{}, 1, 8, {Tokenizer::kStart}}, none{{}, 2, 0};
  CHECK(alone.run(tiny.network(), By::device) == alone.run(tiny.network(), By::host));
  CHECK(none.run(tiny.network(), By::device) == none.run(tiny.network(), By::host));
}

TEST_CASE("a GPU generates what the host does, in bf16", "[gpu]") {
  TinyNetwork llada(ObjectiveKind::llada, gpu("bf16")), ar(ObjectiveKind::ar, gpu("bf16"));
  check_llada(llada, llada_case("low_confidence", 3));
  check_llada(llada, llada_case("ancestral", 3));
  const ArCase causal;
  CHECK(causal.run(ar.network(), By::device) == causal.run(ar.network(), By::host));
}

TEST_CASE("a generation on a GPU is the network's own", "[gpu]") {
  TinyNetwork llada(ObjectiveKind::llada, gpu()), ar(ObjectiveKind::ar, gpu());
  const LladaCase masked = llada_case("low_confidence", 3);
  CHECK(generate_llada(llada.network(), masked.sequences, masked.T, TinyNetwork::excluded(),
                       masked.options)
            .ids == masked.run(llada.network(), By::host).ids);
  const ArCase causal;
  CHECK(generate_ar(ar.network(), causal.n, causal.prompt, causal.length, TinyNetwork::excluded(),
                    causal.options)
            .ids == causal.run(ar.network(), By::host).ids);
}

TEST_CASE("what a GPU cannot generate alone goes through the host", "[gpu]") {
  TinyNetwork tiny(ObjectiveKind::llada, gpu());
  LladaCase threshold = llada_case("threshold", 0), remask = llada_case("remask", 9),
            guided = llada_case("max_prob", 3);
  threshold.options.of_strategy.threshold = 0.3;
  remask.options.of_strategy.remask_share = 0.5;
  guided.options.guidance = 1;
  guided.sequences = {4, 5, LladaCase::kM, LladaCase::kM, 6, LladaCase::kM, LladaCase::kM};
  for (const LladaCase& generation : {threshold, remask, guided}) {
    CAPTURE(generation.options.strategy);
    const std::vector<std::int32_t> expected = generation.run(tiny.network(), By::host).ids;
    CHECK(generate_llada(tiny.network(), generation.sequences, generation.T,
                         TinyNetwork::excluded(), generation.options)
              .ids == expected);
    CHECK_THROWS_WITH(generation.run(tiny.network(), By::device),
                      Catch::Contains("does not generate on a device alone"));
  }
}

TEST_CASE("logits without a distribution end a generation on a GPU in the CPU's Error", "[gpu]") {
  TinyNetwork llada(ObjectiveKind::llada, gpu()), ar(ObjectiveKind::ar, gpu());
  llada.diverge();
  ar.diverge();
  const std::string message =
      " hold NaN or +inf, or nothing that may be drawn; the weights may have diverged";
  for (const std::string& strategy : device_strategies()) {
    const LladaCase masked = llada_case(strategy, 2);
    for (const By by : {By::host, By::device, By::device_unwatched}) {
      CHECK_THROWS_WITH(masked.run(llada.network(), by), Catch::Contains(message));
    }
  }
  const ArCase causal;
  for (const By by : {By::host, By::device, By::device_unwatched}) {
    CHECK_THROWS_WITH(causal.run(ar.network(), by), Catch::Contains("row 0 of 2" + message));
  }
  // A Watch is not shown what came of it.
  std::int64_t seen = 0;
  CHECK_THROWS_AS(generate_llada(llada.network(), LladaCase{}.sequences, 7, TinyNetwork::excluded(),
                                 {}, [&](const StepReport&) { ++seen; }),
                  Error);
  CHECK(seen == 0);
}

#ifdef MASQUE_EMULATE

TEST_CASE("a GPU that runs late generates the same", "[gpu][emulated]") {
  TinyNetwork llada(ObjectiveKind::llada, gpu()), ar(ObjectiveKind::ar, gpu());
  for (const std::string& strategy : device_strategies()) {
    const LladaCase masked = llada_case(strategy, 3);
    const Generated expected = masked.run(llada.network(), By::device);
    const Deferred deferred;
    CHECK(masked.run(llada.network(), By::device_unwatched).ids == expected.ids);
    CHECK(masked.run(llada.network(), By::device) == expected);
  }
  const ArCase causal;
  const Generated expected = causal.run(ar.network(), By::device);
  const Deferred deferred;
  CHECK(causal.run(ar.network(), By::device_unwatched).ids == expected.ids);
  CHECK(causal.run(ar.network(), By::device) == expected);
}

// How often the host waits in a generation, its set-up included.
template <class Case>
std::int64_t waits(TinyNetwork& tiny, const Case& generation, By by) {
  const std::uint64_t before = emulator::host_waits();
  generation.run(tiny.network(), by);
  return static_cast<std::int64_t>(emulator::host_waits() - before);
}

TEST_CASE("how often the host waits for a GPU does not depend on the steps", "[gpu][emulated]") {
  TinyNetwork llada(ObjectiveKind::llada, gpu()), ar(ObjectiveKind::ar, gpu());
  const LladaCase short_llada = llada_case("low_confidence", 3);
  const LladaCase long_llada = llada_case("low_confidence", 7);
  const ArCase short_ar{{}, 2, 2}, long_ar{{}, 2, 6};
  long_ar.run(ar.network(), By::device);  // scratch memory is there from here on
  long_llada.run(llada.network(), By::device);
  const auto counts = [&](By by) {
    return std::vector<std::int64_t>{waits(llada, short_llada, by), waits(llada, long_llada, by),
                                     waits(ar, short_ar, by), waits(ar, long_ar, by)};
  };
  const auto alone = counts(By::device_unwatched);
  CHECK(alone[0] == alone[1]);
  CHECK(alone[2] == alone[3]);
  // And the count is of such waits: watched, each step has the four of two copies to the host.
  const auto watched = counts(By::device);
  CHECK(watched[0] == alone[0] + 4 * 3 - 2);
  CHECK(watched[1] == alone[1] + 4 * 7 - 2);
  CHECK(watched[2] == alone[2] + 4 * 2 - 2);
  CHECK(watched[3] == alone[3] + 4 * 6 - 2);
  const auto by_host = counts(By::host);
  CHECK(by_host[1] > by_host[0]);
  CHECK(by_host[3] > by_host[2]);
}

#endif

}  // namespace
}  // namespace masque::test
