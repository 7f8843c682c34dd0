// Bad input ends in exit code 2 and one line that says what was wrong, and changes no file.
#include <algorithm>
#include <map>

#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/log_folder.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"
#include "tests/support/small_run.h"

namespace fs = std::filesystem;
using namespace masque::test;
using Catch::Contains;
using Words = std::vector<std::string>;
using masque::ObjectiveKind;

namespace {

// Every file under `folder` and its contents; links and folders by name.
std::map<std::string, std::string> snapshot(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    files[entry.path().string()] = entry.is_symlink()        ? fs::read_symlink(entry).string()
                                   : entry.is_regular_file() ? slurp(entry.path())
                                                             : "folder";
  }
  return files;
}

// Runs the program on bad input inside `folder`, which must stay as it is.
void check_refused(const fs::path& folder, const Words& arguments, const Words& words) {
  const auto before = snapshot(folder);
  const ProcessResult result = run_program(MASQUE_BINARY, arguments);
  std::string command = "masque";
  for (const std::string& argument : arguments) command += " " + argument;
  INFO(command << "\nstderr: " << result.err << "\nstdout: " << result.out);
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK_THAT(result.err, Catch::StartsWith("masque: "));
  for (const std::string& word : words) CHECK_THAT(result.err, Contains(word));
  CHECK(snapshot(folder) == before);
}

class Bench {
 public:
  Bench() {
    spill(text(), masque::Source().generate(4000, 1));
    fs::create_directories(folder_ / "folder");
  }
  std::string operator/(const std::string& name) const { return (folder_ / name).string(); }
  std::string text() const { return *this / "text.txt"; }

  void refuses_train(const Words& options, const Words& words) const {
    Words arguments = {"train", *this / "new"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    check_refused(folder_.path(), arguments, words);
  }
  // As above, with what a training needs.
  void refuses_settings(Words options, const Words& words) const {
    for (const std::string& word :
         {text(), std::string("--data"), std::string("ar"), std::string("--objective")}) {
      options.insert(options.begin(), word);
    }
    refuses_train(options, words);
  }

 private:
  Scratch folder_;
};

}  // namespace

TEST_CASE("an unknown command is named, with the nearest", "[cpu]") {
  const Scratch folder;
  check_refused(folder.path(), {"trian"}, {"unknown command trian", "did you mean train?"});
  check_refused(folder.path(), {}, {"subcommand is required"});
  check_refused(folder.path(), {"train", "run", "--stpes", "3"}, {"--stpes"});
}

TEST_CASE("an instruction set that is not there is refused, with those that are", "[cpu]") {
  const ProcessResult wrong = run_program(MASQUE_BINARY, {"doctor"}, {}, "MASQUE_CPU=sse9");
  INFO(wrong.err);
  CHECK(wrong.code == 2);
  CHECK(wrong.out.empty());
  CHECK_THAT(wrong.err, Catch::StartsWith("masque: MASQUE_CPU=sse9: must be one of portable"));
  const ProcessResult right = run_program(MASQUE_BINARY, {"doctor"}, {}, "MASQUE_CPU=portable");
  CHECK(right.code == 0);
  CHECK_THAT(right.out, Contains("cpu portable f32"));
}

TEST_CASE("train refuses bad data", "[cpu]") {
  const Bench bench;
  const auto with_data = [&](const std::string& file) {
    return Words{"--objective", "ar", "--preset", "tiny", "--data", file};
  };
  bench.refuses_train(with_data("no-such-text.txt"), {"no-such-text.txt", "../shared/data"});
  bench.refuses_train(with_data(bench / "folder"), {"folder"});
  spill(bench / "empty.txt", "");
  bench.refuses_train(with_data(bench / "empty.txt"), {"empty.txt", "empty"});
  spill(bench / "latin1.txt", "caf\xe9 au lait");
  bench.refuses_train(with_data(bench / "latin1.txt"), {"latin1.txt", "UTF-8", "byte 3"});
  spill(bench / "short.txt", "too short for a window");
  bench.refuses_train(with_data(bench / "short.txt"), {"64"});
  bench.refuses_train({"--objective", "ar"}, {"--data"});
  bench.refuses_train({"--data", bench.text()}, {"--objective", "llada"});
}

TEST_CASE("train refuses bad settings", "[cpu]") {
  const Bench bench;
  bench.refuses_settings({"--preset", "quik"}, {"quik", "did you mean quick?"});
  bench.refuses_settings({"--set", "dropuot=0.1"}, {"dropuot", "did you mean dropout?"});
  bench.refuses_settings({"--set", "width=100", "heads=3"}, {"width", "100", "heads", "3"});
  bench.refuses_settings({"--set", "steps=0"}, {"steps", "0", "at least 1"});
  bench.refuses_settings({"--steps", "0"}, {"steps", "0", "at least 1"});
  bench.refuses_settings({"--set", "lr=fast"}, {"lr", "fast", "number"});
  bench.refuses_settings({"--set", "lr=nan"}, {"lr", "nan"});
  bench.refuses_settings({"--set", "layers"}, {"layers", "key=value"});
  bench.refuses_settings({"--set", "norm=batchnorm"}, {"batchnorm", "layernorm", "rmsnorm"});
  bench.refuses_settings({"--set", "batch=2.5"}, {"batch", "2.5", "whole"});
  bench.refuses_settings({"--set", "dropout=1"}, {"dropout", "below 1"});
  bench.refuses_settings({"--dtype", "f16"}, {"f16", "f32"});
  bench.refuses_settings({"--device", "tpu"}, {"tpu", "cpu"});
  bench.refuses_train({"--objective", "bert", "--data", bench.text()}, {"bert", "llada", "ar"});
  bench.refuses_settings({"--no-such-flag"}, {"--no-such-flag"});
}

TEST_CASE("train leaves an existing folder alone", "[cpu]") {
  const Bench bench;
  spill(bench / "folder/thesis.txt", "years of work");
  const Words rest = {"--objective", "ar", "--data", bench.text(), "--preset", "tiny"};
  Words arguments = {"train", bench / "folder"};
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  check_refused(bench / "folder", arguments, {"folder", "--resume"});

  arguments[1] = bench.text();
  check_refused(bench / "folder", arguments, {"text.txt", "another"});
  CHECK(fs::file_size(bench.text()) >= 4000);
  check_refused(bench / "folder", {"train", bench / "new", "--resume"}, {"new"});
  check_refused(bench / "folder", {"train", bench / "folder", "--resume"}, {"config.json"});
}

TEST_CASE("what reads a run refuses bad input", "[cpu]") {
  const SmallRun run("llada");
  const fs::path folder = run.path();
  const auto refuses = [&](const std::string& command, Words options, const Words& words) {
    options.insert(options.begin(), {command, run.path()});
    check_refused(folder, options, words);
  };
  check_refused(folder, {"eval", run.path() + "-none"}, {"-none"});
  check_refused(folder, {"sample", run.path() + "-none"}, {"-none"});
  check_refused(folder, {}, {"--help"});
  check_refused(folder, {"evaluate"}, {"evaluate", "did you mean eval?"});

  spill(run.file("greek.txt"), slurp(run.data()).substr(0, 100) + "λ and more of it");
  refuses("eval", {"--data", run.file("greek.txt").string(), "--split", "all"}, {"λ", "100"});
  refuses("eval", {"--split", "holdout"}, {"holdout", "train, val, test"});
  refuses("eval", {"--checkpoint", "77"}, {"77", "last"});
  refuses("eval", {"--checkpoint", "../.."}, {"../..", "last"});
  refuses("eval", {"--estimator", "exact"}, {"exact", "nelbo"});
  refuses("sample", {"--steps", "0"}, {"steps", "0"});
  refuses("sample", {"--strategy", "ancestrl"}, {"ancestrl", "ancestral"});
  refuses("sample", {"--prompt", std::string(17, 'a')}, {"17", "16"});
  refuses("sample", {"--prompt", "aλ"}, {"λ", "1"});
  refuses("sample", {"--temperature", "-1"}, {"temperature", "-1"});
  refuses("sample", {"--top-p", "1.5"}, {"1.5"});
  refuses("train", {"--resume"}, {"steps are done", "--steps"});
  refuses("train", {"--resume", "--set", "lr=1"}, {"--resume", "--set"});
  refuses("train", {"--objective", "llada", "--data", run.data(), "--preset", "tiny"},
          {"--resume"});
}

TEST_CASE("damaged files of a run are named", "[cpu]") {
  const SmallRun run("ar");
  const fs::path folder = run.path();
  const auto damaged = [&](const std::string& name, const std::string& text, const Words& words) {
    const fs::path file = folder / name;
    const std::string whole = slurp(file);
    REQUIRE(!whole.empty());
    spill(file, text);
    for (const char* command : {"eval", "sample"}) {
      check_refused(folder, {command, run.path(), "--checkpoint", "last"}, words);
    }
    spill(file, whole);
  };
  const std::string model = "checkpoints/last/model.safetensors";
  const std::string weights = slurp(folder / model);
  damaged(model, weights.substr(0, weights.size() / 2), {"model.safetensors", "truncated"});
  damaged(model, weights.substr(0, 4), {"model.safetensors", "truncated", "4 bytes"});
  damaged(model, std::string(4096, 'x'), {"model.safetensors"});
  damaged("config.json", "{", {"config.json"});
  damaged("tokenizer.json", "[]", {"tokenizer.json"});

  const std::string optimizer = slurp(folder / "checkpoints/last/optimizer.safetensors");
  spill(folder / "checkpoints/last/optimizer.safetensors", optimizer.substr(0, 1000));
  check_refused(folder, {"train", run.path(), "--resume", "--steps", "4"},
                {"optimizer.safetensors", "truncated"});

  fs::remove_all(fs::canonical(folder / "checkpoints/last"));
  check_refused(folder, {"eval", run.path(), "--checkpoint", "last"}, {"no checkpoint", "last"});
}

TEST_CASE("runs and plot refuse bad input", "[cpu]") {
  const Scratch scratch;
  const std::string root = scratch.path().string();
  const std::string run =
      log_folder(scratch / "run", ObjectiveKind::ar, 40, {{10, 1.9, 2.0}}).string();
  const std::string fresh = log_folder(scratch / "fresh", ObjectiveKind::ar, 40, {}).string();
  const auto refuses = [&](const Words& arguments, const Words& words) {
    check_refused(scratch.path(), arguments, words);
  };
  refuses({"runs", root + "/none"}, {"no folder " + root + "/none", "give one that holds runs"});
  refuses({"runs", run + "/config.json"}, {"no folder", "config.json"});
  refuses({"runs", root, "--sort", "name"}, {"--sort", "name", "val", "age"});

  const std::string svg = root + "/curves.svg";
  refuses({"plot", "-o", svg}, {"RUN", "required"});
  refuses({"plot", root + "/none", "-o", svg}, {"no run folder", "/none", "masque runs"});
  refuses({"plot", root, "-o", svg}, {root + " is no run folder", "masque runs " + root});
  refuses({"plot", run, "-o", run + "/config.json"}, {"-o", "config.json", "ends in .svg"});
  refuses({"plot", run, "-o", root + "/none/c.svg"}, {"-o", "there is no folder", "/none"});
  refuses({"plot", run, "-o", svg, "--x", "flops"}, {"--x", "flops", "tokens"});
  refuses({"plot", run, "-o", svg, "--split", "test"}, {"--split", "test", "val"});
  refuses({"plot", run, fresh, "-o", svg},
          {fresh, "no evaluation of val yet at step 0 (eval_every is 250)", "leave it out"});
  refuses({"plot", run, run, run, run, run, run, run, run, run, run, "-o", svg},
          {"10 runs", "give fewer"});
  fs::remove(fs::path(fresh) / "config.json");
  refuses({"plot", fresh, "-o", svg}, {fresh, "no config.json", "leave it out"});
}
