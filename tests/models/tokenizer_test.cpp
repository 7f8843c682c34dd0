#include "models/tokenizer.h"

#include <filesystem>

#include "kernels/backend.h"
#include "models/utf8.h"
#include "tests/support/catch.h"
#include "tests/support/scratch.h"

using Catch::Matchers::Contains;

namespace masque {
namespace {

namespace fs = std::filesystem;

const std::string kFile =
    R"({"type":"character","specials":["[PAD]","[MASK]","[START]","[END]"],"characters":)";

TEST_CASE("the vocabulary is four specials and the sorted characters", "[cpu]") {
  const Tokenizer tokenizer = Tokenizer::from_text("banana\n é€😀");
  CHECK(tokenizer.vocab_size() == 4 + 8);
  CHECK(encode_utf8({tokenizer.symbols().data(), tokenizer.symbols().size()}) == "\n abné€😀");
  CHECK(tokenizer.encode("\n a") == std::vector<std::int32_t>{4, 5, 6});
  CHECK(tokenizer.encode("b_€", '_') == std::vector<std::int32_t>{7, Tokenizer::kMask, 10});
  CHECK(tokenizer.line_break() == 4);
  CHECK(Tokenizer::from_text("abc").line_break() == std::nullopt);
  CHECK(tokenizer.count_bytes(std::vector<std::int32_t>{2, 7, 9, 10, 11}) == 1 + 2 + 3 + 4);
  CHECK(tokenizer.encode("").empty());
  CHECK(tokenizer.decode(std::vector<std::int32_t>{2, 7, 1, 11, 3, 0}) ==
        "[START]b[MASK]😀[END][PAD]");
  CHECK(tokenizer.excluded() == std::vector<std::uint8_t>{1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("text round-trips", "[cpu]") {
  const std::string text = "ROMEO:\nBut, soft! 1 àβ中😀 [MASK]\r\n";
  const Tokenizer tokenizer = Tokenizer::from_text(text);
  CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  CHECK(Tokenizer::of_bytes().decode(Tokenizer::of_bytes().encode(text)) == text);
}

TEST_CASE("bytes serve any text, and what is no character reads U+FFFD", "[cpu]") {
  const Tokenizer tokenizer = Tokenizer::of_bytes();
  CHECK(tokenizer.vocab_size() == 260);
  CHECK(tokenizer.encode(std::string("a\xff\0", 3)) == std::vector<std::int32_t>{101, 259, 4});
  CHECK(tokenizer.line_break() == 4 + '\n');
  CHECK(tokenizer.excluded().size() == 260);
  CHECK(tokenizer.count_bytes(tokenizer.encode("a中")) == 4);
  struct Case {
    std::string bytes, text;
  };
  for (const Case& one :
       {Case{"a\xff\xfe"
             "b",
             "a��b"},
        Case{"\xe4\xb8", "��"}, Case{"\xb8中", "�中"}, Case{"\xc0\x80", "��"},
        Case{"\xed\xa0\x80", "���"}, Case{"\xf0\x9f\x98", "���"}, Case{"😀\xc3", "😀�"}}) {
    INFO(one.text);
    const std::string decoded = tokenizer.decode(tokenizer.encode(one.bytes));
    CHECK(decoded == one.text);
    CHECK_FALSE(find_fault(decoded));
  }
}

TEST_CASE("a character of several bytes stands where its first byte does", "[cpu]") {
  const Tokenizer tokenizer = Tokenizer::of_bytes();
  std::vector<std::int32_t> ids = tokenizer.encode("a中b");
  CHECK(tokenizer.pieces(ids) == std::vector<std::string>{"a", "中", "", "", "b"});
  ids[2] = Tokenizer::kMask;
  CHECK(tokenizer.pieces(ids) == std::vector<std::string>{"a", "�", "[MASK]", "�", "b"});
  CHECK(Tokenizer::from_text("é").pieces(std::vector<std::int32_t>{4, 1}) ==
        std::vector<std::string>{"é", "[MASK]"});
}

TEST_CASE("unknown characters are named with their position in characters", "[cpu]") {
  const Tokenizer tokenizer = Tokenizer::from_text("abcé");
  CHECK_THROWS_AS(tokenizer.encode("éa?"), InputError);
  CHECK_THROWS_WITH(tokenizer.encode("éa?"), Contains("\"?\" (U+003F) at position 2 ") &&
                                                 Contains("the 4 characters of the vocabulary"));
  CHECK_THROWS_WITH(tokenizer.encode("a\n"), Contains("\"\\n\" (U+000A) at position 1 "));
  CHECK_THROWS_WITH(tokenizer.decode(std::vector<std::int32_t>{8}),
                    Contains("8 must be in [0, 8)"));
  CHECK_THROWS_WITH(tokenizer.decode(std::vector<std::int32_t>{-1}), Contains("-1 must be in"));
  CHECK_THROWS_AS(Tokenizer::from_text(""), InputError);
}

TEST_CASE("UTF-8 is read strictly and the byte is named", "[cpu]") {
  struct Bad {
    const char* bytes;
    const char* reason;
  };
  const Bad cases[] = {
      {"ab\x80", "byte 2 (0x80) cannot start"},
      {"\xff", "byte 0 (0xFF) cannot start"},
      {"\xf8\x88\x80\x80\x80", "byte 0 (0xF8) cannot start"},
      {"a\xc3", "byte 1 (0xC3) starts a character that the end of the text cuts off"},
      {"\xe2\x82", "byte 0 (0xE2) starts a character that the end"},
      {"\xe2\x82z", "byte 0 (0xE2) starts a character that is cut off"},
      {"\xc0\xaf", "byte 0 (0xC0) starts an overlong form"},
      {"\xe0\x80\xaf", "overlong"},
      {"\xf0\x80\x80\xaf", "overlong"},
      {"é\xed\xa0\x80", "byte 2 (0xED) starts a surrogate"},
      {"\xf4\x90\x80\x80", "past U+10FFFF"}};
  for (const Bad& bad : cases) {
    INFO(bad.reason);
    CHECK_THROWS_AS(decode_utf8(bad.bytes), InputError);
    CHECK_THROWS_WITH(decode_utf8(bad.bytes), Contains(bad.reason));
  }
  for (const char32_t limit :
       {0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    const std::u32string one(1, limit);
    CHECK(decode_utf8(encode_utf8(one)) == one);
  }
}

TEST_CASE("tokenizer.json round-trips and has the documented form", "[cpu]") {
  const Tokenizer tokenizer = Tokenizer::from_text("b a\n\"\\é😀");
  const test::Scratch folder;
  const fs::path file = folder / "tokenizer.json";
  tokenizer.save(file);
  CHECK(Tokenizer::load(file) == tokenizer);
  CHECK(test::slurp(file) == kFile + R"(["\n"," ","\"","\\","a","b","é","😀"]})" + "\n");
  CHECK_FALSE(fs::exists(file.string() + ".tmp"));

  const Tokenizer bytes = Tokenizer::make("byte", "b a");
  bytes.save(file);
  CHECK(Tokenizer::load(file) == bytes);
  CHECK_FALSE(bytes == Tokenizer::make("char", "b a"));
  CHECK(test::slurp(file) == R"({"type":"byte","specials":["[PAD]","[MASK]","[START]","[END]"]})"
                             "\n");
}

TEST_CASE("a wrong tokenizer.json says what is wrong", "[cpu]") {
  const test::Scratch folder;
  const fs::path file = folder / "tokenizer.json";
  const auto reason = [&](const std::string& content, const std::string& expected) {
    test::spill(file, content);
    INFO(content);
    CHECK_THROWS_AS(Tokenizer::load(file), InputError);
    CHECK_THROWS_WITH(Tokenizer::load(file), Contains(expected));
  };
  reason("{", "is not JSON at its byte");
  reason("", "is not JSON");
  reason("[]", "is not a JSON object");
  reason("{}", "type is null");
  reason(R"({"type":"bpe"})", "type is \"bpe\", not \"character\" or \"byte\"");
  reason(R"({"type":"byte"})", "specials are null");
  reason(R"({"type":"byte","characters":["a"]})",
         "\"characters\" has no place in the type \"byte\"");
  reason(kFile + R"(["a"],"merges":[]})", "\"merges\" has no place in the type \"character\"");
  reason(R"({"type":"character","specials":["[MASK]"]})", "specials are [\"[MASK]\"]");
  reason(kFile + "[]}", "characters is not a filled list");
  reason(kFile + "\"ab\"}", "characters is not a filled list");
  reason(kFile + R"(["a",7]})", "characters[1] is 7, not a string");
  reason(kFile + R"(["a","bc"]})", "characters[1] holds 2 characters");
  reason(kFile + R"(["a",""]})", "characters[1] holds 0 characters");
  reason(kFile + R"(["a","c","b"]})", "characters[2] \"b\" (U+0062) does not ascend from \"c\"");
  reason(kFile + R"(["a","a"]})", "characters[1] \"a\" (U+0061) does not ascend from \"a\"");
  CHECK_THROWS_WITH(Tokenizer::load("no_such_tokenizer.json"), Contains("no_such_tokenizer.json"));
}

}  // namespace
}  // namespace masque
