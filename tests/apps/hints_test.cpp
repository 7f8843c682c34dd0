#include "apps/hints.h"

#include "apps/presets.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

using Keys = std::vector<std::string>;

constexpr std::int64_t kTinyShakespeare = 1'115'394;

std::vector<std::string> hints_of(const std::string& name, ObjectiveKind objective,
                                  const Keys& keys = {},
                                  std::int64_t characters = kTinyShakespeare) {
  RunConfig config = preset(name, objective);
  for (const std::string& key : keys) set_key(config, key);
  config = resolve(config);
  config.model.vocab_size = 69;
  config.data.tokens = characters;
  return hints(config);
}

TEST_CASE("no preset is unwise on TinyShakespeare", "[cpu]") {
  for (const std::string& name : preset_names()) {
    for (const ObjectiveKind objective : {ObjectiveKind::llada, ObjectiveKind::ar}) {
      INFO(name << " " << name_of(objective));
      CHECK(hints_of(name, objective).empty());
    }
  }
}

// One hint, which says `says`, with `unwise`; none with `wise`.
void check_rule(const std::string& says, ObjectiveKind objective, const Keys& unwise,
                const Keys& wise, std::int64_t characters = kTinyShakespeare) {
  INFO(says);
  const std::vector<std::string> found = hints_of("quick", objective, unwise, characters);
  REQUIRE(found.size() == 1);
  CHECK_THAT(found[0], Catch::Contains(says) && !Catch::Contains("\n"));
  CHECK(hints_of("quick", objective, wise, characters).empty());
}

TEST_CASE("each rule speaks where it is broken, and not beside it", "[cpu]") {
  const auto llada = ObjectiveKind::llada, ar = ObjectiveKind::ar;
  const Keys many = {"steps=3400"};  // 15.6 epochs
  check_rule("16 epochs without dropout: AR learns so small a text by heart; set dropout=0.1", ar,
             many, {"steps=3200"});
  CHECK(hints_of("quick", ar, {"steps=3400", "dropout=0.1"}).empty());
  CHECK(hints_of("quick", ar, {"steps=3400", "width=32"}).empty());  // has no room for it
  CHECK(hints_of("quick", llada, many).empty());
  check_rule("even LLaDA learns so small a text", llada, {"steps=120000"}, {"steps=100000"});

  check_rule("lr = 0.01 is high for width 128: training may diverge; set lr=0.002 or so", ar,
             {"lr=0.01"}, {"lr=0.009"});
  CHECK(hints_of("quick", llada, {"lr=0.01", "width=64"}).empty());

  check_rule("the rate rises for 801 of 1600 steps (warmup); set warmup=160", ar, {"warmup=801"},
             {"warmup=800"});
  check_rule("the rate rises for 1600 of 1600 steps", ar, {"warmup=5000"}, {"warmup=800"});

  check_rule("a step reads 64 sequences, and the train split is 62 of 128", ar,
             {"accumulation=2", "dropout=0.1", "val_fraction=0"},
             {"batch=31", "accumulation=2", "dropout=0.1", "val_fraction=0"}, 10'000);

  check_rule("the val split is 15 windows of 128: its loss says little", ar, {"dropout=0.1"},
             {"dropout=0.1", "val_fraction=0.11"}, 20'000);
  check_rule("the val split is 1 window of 128", ar, {"dropout=0.1", "val_fraction=0.01"},
             {"dropout=0.1", "val_fraction=0"}, 20'000);

  check_rule("first 1.5M tokens, and this run has 1.2M: give --steps 733 or more", llada,
             {"steps=300"}, {"steps=367"});
  CHECK(hints_of("quick", ar, {"steps=300"}).empty());

  check_rule("ema = 0.999 forgets slowly: 20% of the average will be the random start after 1600",
             llada, {"ema=0.999"}, {"ema=0.997"});
}

}  // namespace
}  // namespace masque::test
