#include "models/files.h"

#include <cerrno>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_files.h"
#include "tests/support/scratch.h"

namespace fs = std::filesystem;
using namespace masque;
using Catch::Contains;
using test::FaultyFiles;
using test::Scratch;
using test::slurp;
using test::spill;

namespace {

std::size_t entries_in(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a write that fails leaves what was there", "[cpu]") {
  const Scratch scratch;
  write_file(scratch / "note", std::string("first"));
  write_file(scratch / "note", std::string("second"));
  CHECK(slurp(scratch / "note") == "second");
  CHECK_THROWS_WITH(write_file(scratch / "none/note", std::string("x")),
                    Contains("cannot write") && Contains("No such file"));

  fs::create_directories(scratch / "folder/inner");
  CHECK_THROWS_AS(write_file(scratch / "folder", std::string("x")), Error);
  CHECK(fs::exists(scratch / "folder/inner"));
  CHECK(entries_in(scratch / ".") == 2);
}

TEST_CASE("a write says which operation's failure ended it, and how to mend it", "[cpu]") {
  const Scratch scratch;
  FaultyFiles faulty;
  const WithFileSystem replaced(faulty);
  faulty.heal();
  write_file(scratch / "note", std::string("first"));
  const std::int64_t operations = faulty.operations();
  REQUIRE(operations == 6);  // open, write, fsync, rename; open and fsync of the folder
  const std::vector<std::pair<int, std::string>> reasons = {
      {ENOSPC, "No space left on device; free some space"},
      {EIO, "Input/output error; the disk"},
      {EACCES, "Permission denied; allow this user"},
      {EROFS, "Read-only file system; mount it for writing"}};
  for (const auto& reason : reasons) {
    for (std::int64_t first = 0; first < operations; ++first) {
      INFO("operation " << first << ": " << reason.second);
      faulty.fail(first, reason.first, 1);
      CHECK_THROWS_WITH(write_file(scratch / "note", std::string("second")),
                        Contains(reason.second));
      // Where only the flush of the folder failed, the new file is there.
      CHECK(slurp(scratch / "note") == (first < 4 ? "first" : "second"));
      CHECK(entries_in(scratch / ".") == 1);
      faulty.heal();
      write_file(scratch / "note", std::string("first"));
    }
  }
}

TEST_CASE("signals and short writes lose no byte", "[cpu]") {
  const Scratch scratch;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += std::to_string(i);
  FaultyFiles faulty;
  const WithFileSystem replaced(faulty);
  faulty.fail(0, 0);  // every write is short
  write_file(scratch / "short", text);
  CHECK(slurp(scratch / "short") == text);
  for (std::int64_t first = 0; first < 6; ++first) {
    faulty.fail(first, EINTR, 3);
    write_file(scratch / "interrupted", text + std::to_string(first));
    CHECK(slurp(scratch / "interrupted") == text + std::to_string(first));
  }
}

TEST_CASE("lines that could not be written go out with the next", "[cpu]") {
  const Scratch scratch;
  FaultyFiles faulty;
  const WithFileSystem replaced(faulty);
  LineFile lines;
  lines.open(scratch / "lines");
  faulty.fail(0, EACCES);
  CHECK_THROWS_WITH(lines.append("one"), Contains("lines: Permission denied; allow this user"));
  faulty.heal();
  lines.append("two");
  CHECK(slurp(scratch / "lines") == "one\ntwo\n");

  faulty.fail(0, ENOSPC);
  CHECK_THROWS_WITH(lines.append("three"), Contains("No space left"));
  CHECK_THROWS_AS(lines.append("four"), Error);
  CHECK(lines.kept() == 11);
  faulty.fail(0, 0);  // what half of it went out is not written again
  lines.flush();
  CHECK(lines.kept() == 0);
  CHECK(slurp(scratch / "lines") == "one\ntwo\nthree\nfour\n");
}

TEST_CASE("a folder takes another's place at once, also where the system cannot exchange",
          "[cpu]") {
  const Scratch scratch;
  FaultyFiles faulty;
  const WithFileSystem replaced(faulty);
  const auto fill = [&](const std::string& name, const std::string& text) {
    make_folder(scratch / name);
    write_file(scratch / (name + "/file"), text);
  };
  fill("a", "old");
  for (const int reason : {0, EINVAL}) {
    fill(".a.tmp", "new");
    faulty.fail(0, reason, 1);  // the exchange
    replace_folder(scratch / ".a.tmp", scratch / "a");
    CHECK(slurp(scratch / "a/file") == "new");
    CHECK(entries_in(scratch / ".") == 1);
  }
  fill(".a.tmp", "newer");
  faulty.fail(0, EIO, 1);
  CHECK_THROWS_AS(replace_folder(scratch / ".a.tmp", scratch / "a"), Error);
  CHECK(slurp(scratch / "a/file") == "new");

  point_link(scratch / "link", "a");
  point_link(scratch / "link", "a/file");
  CHECK(fs::read_symlink(scratch / "link") == "a/file");
  remove_tree(scratch / "link");
  CHECK(slurp(scratch / "a/file") == "new");
  remove_tree(scratch / "a");
  remove_tree(scratch / "a");
  remove_tree(scratch / ".a.tmp");
  CHECK(entries_in(scratch / ".") == 0);
}
