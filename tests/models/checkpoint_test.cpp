#include "models/checkpoint.h"

#include <cstring>
#include <functional>

#include "kernels/backend.h"
#include "models/files.h"
#include "tests/support/catch.h"
#include "tests/support/scratch.h"

namespace fs = std::filesystem;
using namespace masque;
using Catch::Contains;
using test::Scratch;
using test::slurp;
using test::spill;

namespace {

std::string with_header(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string text(sizeof(length), '\0');
  std::memcpy(text.data(), &length, sizeof(length));
  return text + header + std::string(data_bytes, '\1');
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string array_header(const std::string& shape, const std::string& offsets,
                         const std::string& dtype = "F32") {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

std::size_t entries_in(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("safetensors come back as they were written", "[cpu]") {
  const Scratch scratch;
  const std::vector<float> odd = {1.5f, -2.25f, 3e-40f};
  const std::vector<double> wide = {1.0 / 3, 2.0 / 3};
  const std::vector<HostArray> arrays = {{"odd", {3, 1}, DType::f32, odd.data()},
                                         {"wide", {1, 1, 2, 1}, DType::f64, wide.data()},
                                         {"empty", {0, 5}, DType::f32, nullptr},
                                         {"scalar", {}, DType::f32, odd.data()}};
  const fs::path file = scratch / "a.safetensors";
  write_safetensors(file, arrays, {{"step", "7"}});

  const Safetensors read(file);
  REQUIRE(read.entries().size() == 4);
  CHECK(read.metadata().at("step") == "7");
  CHECK(read.entries().at("empty").shape == Shape{0, 5});
  CHECK(read.entries().at("scalar").shape == Shape{});
  std::vector<float> odd_back(3);
  read.read("odd", {3, 1}, DType::f32, odd_back.data());
  CHECK(odd_back == odd);
  std::vector<double> wide_back(2);
  read.read("wide", {1, 1, 2, 1}, DType::f64, wide_back.data());
  CHECK(wide_back == wide);
  read.read("empty", {0, 5}, DType::f64, nullptr);

  std::vector<float> narrowed(2);
  read.read("wide", {1, 1, 2, 1}, DType::f32, narrowed.data());
  CHECK(narrowed[0] == static_cast<float>(wide[0]));
  std::vector<double> widened(3);
  read.read("odd", {3, 1}, DType::f64, widened.data());
  CHECK(widened[1] == -2.25);

  CHECK_THROWS_WITH(read.read("odd", {1, 3}, DType::f32, odd_back.data()),
                    Contains("(3, 1)") && Contains("(1, 3)"));
  CHECK_THROWS_WITH(read.read("none", {1}, DType::f32, odd_back.data()), Contains("no \"none\""));

  const std::string bytes = slurp(file);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  CHECK(length % 8 == 0);
  CHECK(entries_in(scratch / ".") == 1);
}

TEST_CASE("a safetensors file of any other length is refused", "[cpu]") {
  const Scratch scratch;
  const std::vector<float> values = {1, 2, 3};
  const fs::path file = scratch / "a.safetensors";
  write_safetensors(file, std::vector<HostArray>{{"x", {3}, DType::f32, values.data()}}, {});
  const std::string whole = slurp(file);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    spill(file, whole.substr(0, size));
    const std::string message = message_of([&] { Safetensors read(file); });
    CHECK_THAT(message, Contains("truncated") && Contains(std::to_string(size) + " bytes"));
    CHECK(message.find('\n') == std::string::npos);
  }
  spill(file, whole + "x");
  CHECK_THROWS_WITH(Safetensors(file), Contains("1 bytes follow its last array"));
}

TEST_CASE("a malformed safetensors header is refused", "[cpu]") {
  const Scratch scratch;
  struct Case {
    std::string header;
    std::size_t data;
    std::string message;
  };
  const std::string one = array_header("[1]", "[0,4]");
  const std::vector<Case> cases = {
      {"[]", 0, "not a JSON object"},
      {"{", 0, "not JSON at its byte"},
      {R"({"x":)" + one + R"(,"x":)" + one + "}", 4, "\"x\" appears twice"},
      {R"({"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
       "\"dtype\" appears twice"},
      {R"({"x":)" + array_header("[1]", "[0,2]", "F16") + "}", 2, "not F32 or F64"},
      {R"({"x":)" + array_header("[1]", "[0,8]") + "}", 8, "do not hold shape (1) of F32"},
      {R"({"x":)" + array_header("[1]", "[8,4]") + "}", 8, "do not hold"},
      {R"({"x":)" + array_header("[-1]", "[0,4]") + "}", 4, "shape"},
      {R"({"x":)" + array_header("[1.5]", "[0,4]") + "}", 4, "shape"},
      {R"({"x":)" + array_header("[4294967296,4294967296]", "[0,0]") + "}", 0, "overflows"},
      {R"({"x":)" + array_header("[18446744073709551615]", "[0,0]") + "}", 0, "overflows"},
      {R"({"x":)" + array_header("[1,1,1,1,1]", "[0,4]") + "}", 4, "4 dimensions"},
      {R"({"x":)" + array_header("[1e999]", "[0,4]") + "}", 4, "past the range"},
      {std::string((1 << 20) + 1, ' '), 0, "over the limit of 1048576"},
      {R"({"x":)" + array_header("[[1]]", "[0,4]") + "}", 4, "nests deeper"},
      {R"({"x":{"dtype":"F32","shape":[1]}})", 4, "wants dtype, shape and data_offsets"},
      {R"({"x":3})", 0, "wants dtype"},
      {R"({"x":)" + one + R"(,"y":)" + one + "}", 4, "inside the array before it"},
      {R"({"x":)" + array_header("[1]", "[4,8]") + "}", 8, "after a hole from 0"},
      {R"({"__metadata__":{"a":1}})", 0, "object of strings"},
      {R"({"__metadata__":[1]})", 0, "object of strings"},
      {R"({"x":[[[[[[1]]]]]]})", 0, "nests deeper"},
  };
  for (const Case& each : cases) {
    const fs::path file = scratch / "bad.safetensors";
    spill(file, with_header(each.header, each.data));
    INFO(each.header);
    const std::string message = message_of([&] { Safetensors read(file); });
    CHECK_THAT(message, Contains(each.message) && Contains("bad.safetensors"));
    CHECK(message.find('\n') == std::string::npos);
  }

  const fs::path file = scratch / "long.safetensors";
  spill(file, std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) + "{}");
  CHECK_THROWS_WITH(Safetensors(file), Contains("over the limit"));
  CHECK_THROWS_WITH(Safetensors(scratch / "absent"), Contains("cannot be read"));
  CHECK_THROWS_WITH(Safetensors(scratch / "."), Contains("cannot be read"));
}

TEST_CASE("a run folder keeps the newest checkpoints, best and last", "[cpu]") {
  const Scratch scratch;
  const RunFolder run(scratch / "runs/a");
  CHECK_THROWS_WITH(run.require(), Contains("no run folder"));
  run.create();
  run.create();  // still empty
  CHECK_THROWS_WITH(run.require(), Contains("no config.json"));
  write_file(run.config(), std::string("{}"));
  run.require();
  CHECK_THROWS_AS(run.create(), InputError);
  CHECK_THROWS_WITH(run.create(), Contains("--resume"));
  CHECK_THROWS_WITH(run.checkpoint("last"), Contains("none was saved yet"));

  const fs::path checkpoints = run.path() / "checkpoints";
  const auto save = [&](std::int64_t step, bool best) {
    run.save_checkpoint(step, best, 2, [&](CheckpointFiles& files) {
      files.write("state.json", std::to_string(step));
    });
  };
  save(5, true);
  save(10, false);
  save(15, false);
  save(100, false);
  CHECK(fs::read_symlink(checkpoints / "best") == "step_5");
  CHECK(fs::read_symlink(checkpoints / "last") == "step_100");
  CHECK(slurp(run.checkpoint("best") / "state.json") == "5");
  CHECK(run.checkpoint("15") == checkpoints / "step_15");
  CHECK_FALSE(fs::exists(checkpoints / "step_10"));
  CHECK_THROWS_WITH(run.checkpoint("10"), Contains("best, last, 5, 15, 100"));
  CHECK_THROWS_AS(run.checkpoint("../a"), InputError);

  save(105, false);
  CHECK(entries_in(checkpoints) == 5);  // 5 (best), 100, 105, two links
  save(105, true);                      // again: replaced
  CHECK(slurp(run.checkpoint("105") / "state.json") == "105");
  CHECK(fs::read_symlink(checkpoints / "best") == "step_105");
}

TEST_CASE("a folder of checkpoints that cannot be read is not an empty one", "[cpu]") {
  const Scratch scratch;
  const RunFolder run(scratch / "run");
  CHECK(run.steps().empty());
  run.create();
  CHECK(run.steps().empty());
  spill(run.path() / "checkpoints", "");
  CHECK_THROWS_WITH(run.steps(), Contains("cannot read") && Contains("checkpoints"));
}

TEST_CASE("a save that is interrupted leaves best and last whole", "[cpu]") {
  const Scratch scratch;
  const RunFolder run(scratch / "run");
  run.create();
  run.save_checkpoint(1, true, 1,
                      [](CheckpointFiles& files) { files.write("state.json", std::string("1")); });
  CHECK_THROWS_AS(run.save_checkpoint(2, true, 1,
                                      [](CheckpointFiles& files) {
                                        files.write("half", std::string("2"));
                                        throw Error("disk full");
                                      }),
                  Error);
  CHECK(run.checkpoint("last").filename() == "step_1");
  CHECK_THROWS_AS(run.checkpoint("2"), InputError);
  CHECK(entries_in(run.path() / "checkpoints") == 3);  // 1, two links: on a full disk room matters
  run.save_checkpoint(3, false, 1,
                      [](CheckpointFiles& files) { files.write("state.json", std::string("3")); });
  CHECK(entries_in(run.path() / "checkpoints") == 4);  // 1 (best), 3, two links: no leftovers

  fs::remove_all(run.path() / "checkpoints/step_1");
  CHECK_THROWS_WITH(run.checkpoint("best"), Contains("it has last, 3"));
}
