#include "models/strict_json.h"

#include <fmt/format.h>

#include <string>

#include "kernels/backend.h"
#include "models/config.h"
#include "models/tokenizer.h"
#include "models/utf8.h"
#include "tests/support/catch.h"
#include "tests/support/scratch.h"

using Catch::Matchers::Contains;

namespace masque {
namespace {

const JsonSource kSource{"file.json", "mend it", 3};

std::string repeated(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

// A JSON string of so many bytes in all.
std::string long_string(std::size_t bytes) {
  std::string text(bytes, 'x');
  text.front() = text.back() = '"';
  return text;
}

void refused(const std::string& text, const std::string& why) {
  INFO(text.substr(0, 100));
  CHECK_THROWS_AS(parse_strict_json(text, kSource), InputError);
  CHECK_THROWS_WITH(parse_strict_json(text, kSource),
                    Contains("file.json: ") && Contains(why) && Contains(": mend it"));
}

TEST_CASE("strict JSON reads what JSON is", "[cpu]") {
  const auto json = parse_strict_json(R"({"a": [1, 2.5, {"b": null}], "c": {"a": "é"}})", kSource);
  CHECK(json["a"][2]["b"].is_null());
  CHECK(json["c"]["a"] == "é");
  CHECK(parse_strict_json("7", kSource) == 7);
}

// Classes of failure known from readers of GGUF and safetensors.
TEST_CASE("strict JSON refuses what nlohmann's parser lets pass", "[cpu]") {
  refused(R"({"a": 1, "b": 2, "a": 3})", "\"a\" appears twice");
  refused(R"({"x": {"a": 1, "a": 1}})", "\"a\" appears twice");
  CHECK_NOTHROW(parse_strict_json(R"([{"a": 1}, {"a": 1}])", kSource));
  CHECK_NOTHROW(parse_strict_json("[[[]]]", kSource));
  refused("[[[[]]]]", "nests deeper than 3");
  refused(R"({"a": {"b": {"c": {}}}})", "nests deeper than 3");
  refused(repeated("[", 2'000'000), "nests deeper than 3");
  refused("1e999", "past the range of f64");
  refused(R"({"a": [-1e400]})", "past the range of f64");
  refused("{\"a\": \"\xC0\x80\"}", "is not JSON at its byte");  // overlong UTF-8
  refused(fmt::format("[{}[]]", repeated("[],", 70'000)),
          "holds more than 65536 keys, objects and arrays");
  refused("", "is not JSON");
  refused("{} {}", "is not JSON at its byte");
  refused("NaN", "is not JSON");
}

TEST_CASE("a JSON file past the limit is refused before it is read", "[cpu]") {
  const test::Scratch folder;
  const auto file = folder / "big.json";
  test::spill(file, long_string(kMostJsonBytes + 2));
  CHECK_THROWS_WITH(read_strict_json(file, kSource),
                    Contains("has 524290 bytes, more than 524288"));
  test::spill(file, long_string(kMostJsonBytes));
  CHECK(read_strict_json(file, kSource).get<std::string>().size() == kMostJsonBytes - 2);
  CHECK_THROWS_WITH(read_strict_json(folder / "none.json", kSource), Contains("cannot be read"));
  CHECK_THROWS_WITH(read_strict_json(folder.path(), kSource), Contains("cannot be read"));
}

TEST_CASE("error lines show values cut short, in ASCII", "[cpu]") {
  CHECK(in_quotes("a\"b\n\x01é") == "\"a\\\"b\\n\\u0001\\u00e9\"");
  CHECK(in_quotes(std::string(200, 'a')).size() == 82);
  CHECK(shown(nlohmann::json::array({1, "x"})) == "[1,\"x\"]");
  const std::string cut = shown(std::string(1000, 'a'));
  CHECK(cut.size() == 83);
  CHECK_THAT(cut, Catch::Matchers::EndsWith("..."));
}

TEST_CASE("tokenizer.json of a stranger: depth, size and long values", "[cpu]") {
  const test::Scratch folder;
  const auto file = folder / "tokenizer.json";
  const std::string start =
      R"({"type":"character","specials":["[PAD]","[MASK]","[START]","[END]"],"characters":)";
  const auto reason = [&](const std::string& content) {
    test::spill(file, content);
    try {
      Tokenizer::load(file);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK_THAT(reason(start + "[" + repeated("[", 100'000) + repeated("]", 100'000) + "]}"),
             Contains("nests deeper than 2"));
  CHECK_THAT(reason(start + "[\"a\"], \"type\":\"character\"}"), Contains("appears twice"));
  CHECK_THAT(reason(start + "[1e999]}"), Contains("past the range"));
  CHECK(reason("{\"type\":" + long_string(100'000) + "}").size() < 400);
  CHECK_THAT(reason(std::string(600'000, ' ')), Contains("has 600000 bytes"));
}

TEST_CASE("text of more characters than a tokenizer.json holds is refused", "[cpu]") {
  std::u32string all;
  for (char32_t character = 0x100; all.size() < 65536; ++character) {
    if (character < 0xD800 || character > 0xDFFF) all.push_back(character);
  }
  const test::Scratch folder;
  const Tokenizer most = Tokenizer::from_text(encode_utf8(all));
  most.save(folder / "tokenizer.json");
  CHECK(Tokenizer::load(folder / "tokenizer.json") == most);
  all.push_back(U'a');
  CHECK_THROWS_WITH(Tokenizer::from_text(encode_utf8(all)),
                    Contains("65537 different characters, more than 65536"));
}

TEST_CASE("config.json of a stranger: types and sizes", "[cpu]") {
  RunConfig config;
  config.model.vocab_size = 69;
  const nlohmann::json good = to_json(resolve(config));
  CHECK(to_json(config_from_json(good)) == good);
  const auto reason = [&](const char* half, const char* key, const nlohmann::json& value) {
    nlohmann::json json = good;
    json[half][key] = value;
    try {
      config_from_json(json);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK_THAT(reason("data", "file", 7), Contains("data.file 7"));
  CHECK_THAT(reason("data", "tokens", "x"), Contains("data.tokens \"x\""));
  CHECK_THAT(reason("data", "tokens", -1), Contains("data.tokens -1"));
  CHECK_THAT(reason("model", "width", 1'000'000'000), Contains("must be at most"));
  CHECK_THAT(reason("model", "context", 1e300), Contains("context"));
  CHECK_THAT(reason("model", "layers", 18446744073709551615ULL), Contains("layers"));
  CHECK(reason("model", "norm", std::string(100'000, 'x')).size() < 400);
}

}  // namespace
}  // namespace masque
