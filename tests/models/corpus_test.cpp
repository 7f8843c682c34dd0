#include "models/corpus.h"

#include <cstdlib>

#include "kernels/backend.h"
#include "tests/support/catch.h"
#include "tests/support/scratch.h"

using Catch::Matchers::Contains;

namespace masque {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  fs::path write(const std::string& name, const std::string& content) const {
    fs::create_directories((scratch_ / name).parent_path());
    test::spill(scratch_ / name, content);
    return scratch_ / name;
  }
  const fs::path& path() const { return scratch_.path(); }
  fs::path operator/(const std::string& name) const { return scratch_ / name; }
  // "name: why", each on a line.
  std::string left_out(const std::string& tokenizer) const {
    std::string text;
    for (const Corpus::LeftOut& file : read_corpus(path(), tokenizer).left_out) {
      text += file.name + ": " + file.why + "\n";
    }
    return text;
  }

 private:
  test::Scratch scratch_;
};

TEST_CASE("data files are found and checked", "[cpu]") {
  const Folder folder;
  CHECK(read_text(folder.write("good.txt", "né\n")) == "né\n");
  CHECK_THROWS_AS(read_text(folder.write("empty.txt", "")), InputError);
  CHECK_THROWS_WITH(read_text(folder / "empty.txt"), Contains("empty.txt is empty"));
  CHECK_THROWS_WITH(read_text(folder.write("latin1.txt", "n\xe9\n")),
                    Contains("latin1.txt is not UTF-8: byte 1 (0xE9) starts a character"));
  CHECK_THROWS_WITH(read_text(folder.path()), Contains("is a folder"));
  CHECK_THROWS_WITH(read_text(folder / "none.txt"), Contains("cannot read"));

  CHECK(find_data((folder / "good.txt").string()) == folder / "good.txt");
  CHECK_THROWS_AS(find_data("masque_no_such_file.txt"), InputError);
  CHECK_THROWS_WITH(find_data("masque_no_such_file.txt"),
                    Contains("\"masque_no_such_file.txt\"") &&
                        Contains("../shared/data/masque_no_such_file.txt") &&
                        Contains("masque data fetch"));
  ::setenv("MASQUE_DATA_DIR", folder.path().c_str(), 1);
  CHECK(find_data("good.txt") == folder / "good.txt");
  ::unsetenv("MASQUE_DATA_DIR");
}

TEST_CASE("a file is its text, UTF-8 or any bytes", "[cpu]") {
  const Folder folder;
  const fs::path latin1 = folder.write("latin1.txt", "caf\xe9 au lait");
  CHECK_THROWS_WITH(
      read_corpus(latin1, "char"),
      Contains("latin1.txt is not UTF-8: byte 3 (0xE9) starts a character that is cut "
               "off: save it as UTF-8, or give --tokenizer byte"));
  const Corpus corpus = read_corpus(latin1, "byte");
  CHECK(corpus.text == "caf\xe9 au lait");
  CHECK(corpus.files.empty());
  CHECK_THROWS_WITH(read_corpus(folder.write("empty", ""), "byte"), Contains("empty is empty"));
  // More than is read at once.
  const std::string large((std::size_t{1} << 21) + 17, 'x');
  CHECK(read_corpus(folder.write("large.txt", large), "char").text == large);
}

TEST_CASE("a folder's files are joined in the order of their names", "[cpu]") {
  const Folder folder;
  folder.write("b.txt", "second\n");
  folder.write("a/z.md", "first");
  folder.write("c.txt", "third");
  folder.write(".hidden.txt", "no");
  folder.write(".git/config", "no");
  folder.write("a/.DS_Store", "no");
  fs::create_symlink(folder / "c.txt", folder / "d.txt");
  const Corpus corpus = read_corpus(folder.path(), "char");
  CHECK(corpus.text == "first\n\nsecond\n\n\nthird\n\nthird");
  std::string names;
  std::int64_t bytes = 0;
  for (const Corpus::File& file : corpus.files) {
    names += file.name + " ";
    bytes += file.bytes;
  }
  CHECK(names == "a/z.md b.txt c.txt d.txt ");
  CHECK(bytes + 3 * 2 == std::ssize(corpus.text));
  CHECK(corpus.left_out.empty());
}

TEST_CASE("what is no text of a folder is left out and named", "[cpu]") {
  const Folder folder;
  folder.write("good.txt", "text");
  folder.write("empty.txt", "");
  folder.write("logo.png", "\x89PNG");
  fs::create_symlink(folder / "nowhere", folder / "link.txt");
  CHECK(read_corpus(folder.path(), "char").text == "text");
  CHECK(folder.left_out("char") ==
        "empty.txt: is empty\n"
        "link.txt: is no regular file\n"
        "logo.png: is not UTF-8: byte 0 (0x89) cannot start a character\n");
  CHECK(read_corpus(folder.path(), "byte").text == "text\n\n\x89PNG");
  CHECK(folder.left_out("byte") == "empty.txt: is empty\nlink.txt: is no regular file\n");
  fs::remove(folder / "good.txt");
  CHECK_THROWS_WITH(read_corpus(folder.path(), "char"),
                    Contains("holds no text: logo.png is not UTF-8: byte 0 (0x89) cannot start a "
                             "character, and 2 more: save it as UTF-8, or give --tokenizer byte"));
  fs::remove(folder / "logo.png");
  CHECK_THROWS_WITH(read_corpus(folder.path(), "byte"),
                    Contains("empty.txt is empty, and 1 more: name a file or folder with text"));
  const Folder none;
  none.write(".hidden", "text");
  CHECK_THROWS_WITH(read_corpus(none.path(), "char"), Contains("holds no files but hidden ones"));
}

}  // namespace
}  // namespace masque
