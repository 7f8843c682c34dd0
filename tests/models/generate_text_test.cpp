#include "models/generate_text.h"

#include "models/device_sampler.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_network.h"

namespace masque::test {
namespace {

// A vocabulary of as many characters as the network has.
Tokenizer letters() {
  return Tokenizer::from_text("abcdefghijklmnopqrs");
}

RunConfig config_of(ObjectiveKind objective) {
  RunConfig config;
  config.model.objective = objective;
  config.model.context = TinyNetwork::kContext;
  return config;
}

TEST_CASE("a text goes on from its prompt to the end of the context", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  TinyNetwork tiny(objective, On<Cpu, float>{});
  REQUIRE(letters().vocab_size() == TinyNetwork::kVocabulary);
  SampleOptions options;
  options.draw.seed = 7;
  const RunConfig config = config_of(objective);
  const auto text = [&](const std::string& prompt) {
    return generate_text(tiny.network(), letters(), config, prompt, options);
  };
  for (const std::string prompt : {"", "fade", "abcdefgh"}) {
    INFO(prompt);
    const std::string written = text(prompt);
    CHECK(written.size() == TinyNetwork::kContext);
    CHECK(written.substr(0, prompt.size()) == prompt);
    CHECK(written == text(prompt));
  }
  options.draw.seed = 8;
  const std::string other = text("");
  options.draw.seed = 7;
  CHECK(text("") != other);
  CHECK_THROWS_WITH(text("abcdefghi"),
                    Catch::Contains("the prompt has 9 tokens and the model's context is 9"));
  CHECK_THROWS_AS(text("A"), InputError);
}

TEST_CASE("a text is what its objective's sampler writes", "[cpu]") {
  const Tokenizer tokenizer = letters();
  SampleOptions options;
  options.strategy = "margin";
  options.steps = 3;
  {
    TinyNetwork tiny(ObjectiveKind::llada, On<Cpu, float>{});
    std::vector<std::int32_t> ids = tokenizer.encode("cab");
    ids.resize(TinyNetwork::kContext, Tokenizer::kMask);
    const auto expected = generate_llada(tiny.network(), ids, TinyNetwork::kContext,
                                         TinyNetwork::excluded(), options);
    CHECK(generate_text(tiny.network(), tokenizer, config_of(ObjectiveKind::llada), "cab",
                        options) == tokenizer.decode(expected.ids));
  }
  TinyNetwork tiny(ObjectiveKind::ar, On<Cpu, float>{});
  RunConfig config = config_of(ObjectiveKind::ar);
  std::vector<std::int32_t> prompt = tokenizer.encode("cab");
  const auto without = generate_ar(tiny.network(), 1, prompt, TinyNetwork::kContext - 3,
                                   TinyNetwork::excluded(), options.draw);
  config.training.start_token = false;
  CHECK(generate_text(tiny.network(), tokenizer, config, "cab", options) ==
        tokenizer.decode(without.ids));
  CHECK(generate_text(tiny.network(), tokenizer, config, "", options)[0] == 'a');

  prompt.insert(prompt.begin(), Tokenizer::kStart);
  const auto with = generate_ar(tiny.network(), 1, prompt, TinyNetwork::kContext - 3,
                                TinyNetwork::excluded(), options.draw);
  config.training.start_token = true;
  CHECK("[START]" + generate_text(tiny.network(), tokenizer, config, "cab", options) ==
        tokenizer.decode(with.ids));
}

}  // namespace
}  // namespace masque::test
