// What a report refuses, and masque report as a user runs it.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/report/report.h"
#include "kernels/backend.h"
#include "tests/support/catch.h"
#include "tests/support/compare_results.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

using Catch::Matchers::Contains;

namespace masque {
namespace {

namespace fs = std::filesystem;

using Json = nlohmann::json;
using test::compare_results;
using test::Scratch;
using test::slurp;
using test::spill;

TEST_CASE("results that lack a key are refused by its name, and nothing is written", "[cpu]") {
  const Scratch folder;
  const auto refused = [&](const Json& results, const std::string& why) {
    INFO(why);
    CHECK_THROWS_WITH(write_report(results, folder.path()), Contains(why));
    CHECK_THROWS_AS(write_report(results, folder.path()), InputError);
    CHECK(fs::is_empty(folder.path()));
  };
  const Json complete = compare_results();
  for (const auto& entry : complete.items()) {
    Json results = complete;
    results.erase(entry.key());
    refused(results, "results.json: " + entry.key() + " is missing");
  }
  const auto changed = [](const std::string& where, const Json& value) {
    Json results = compare_results();
    const Json::json_pointer at(where);
    if (value.is_null()) {
      results.at(at.parent_pointer()).erase(at.back());
    } else {
      results.at(at) = value;
    }
    return results;
  };
  refused(changed("/headline/2/nats", nullptr), "headline[2].nats is missing");
  refused(changed("/headline/2/nats", "low"), "headline[2].nats is string where a number");
  refused(changed("/headline/0/bound", "lower"),
          "headline[0].bound is \"lower\"; it is one of exact");
  refused(changed("/headline/0/across_seeds", {1}), "headline[0].across_seeds is no interval");
  refused(changed("/differences/0/first", nullptr), "differences[0].first is missing");
  refused(changed("/runs/1/curve/3/flops", nullptr), "runs[1].curve[3].flops is missing");
  refused(changed("/quality/2/run", "nobody"), "quality[2].run is \"nobody\"");
  refused(changed("/viewer/0/frames", Json::array()), "viewer[0].frames is empty");
  refused(changed("/headline/0/windows", 1.5), "headline[0].windows is 1.5 where a whole number");
  // Words that become part of the page's own markup are of a list.
  for (const char* where : {"/headline/0/model", "/differences/0/first/model", "/runs/0/model",
                            "/models/0/name", "/estimates/0/model", "/samples/0/model",
                            "/quality/0/kind", "/viewer/0/model", "/estimates/0/bound"}) {
    refused(changed(where, "<b>"), "is \"<b>\"; it is one of");
  }
  Json results = complete;
  results["viewer"][0]["frames"][2]["text"] = nullptr;
  refused(results, "viewer[0].frames[2].text is missing");
  refused(changed("/format", 2), "format 2, but this masque reads 1");
  refused(changed("/missing", "all"), "missing is string where a list");
  refused(Json::array(), "the file is array where an object");
}

// masque report FOLDER, with only `programs` on PATH.
test::ProcessResult report_in(const Scratch& folder) {
  return test::run_program(MASQUE_BINARY, {"report", folder.path().string()}, {},
                           "PATH='" + (folder / "bin").string() + "'");
}

void add_program(const Scratch& folder, const std::string& name, const std::string& script) {
  spill(folder / "bin" / name, "#!/bin/sh\n" + script);
  fs::permissions(folder / "bin" / name, fs::perms::owner_all);
}

TEST_CASE("masque report makes the pages again, and says why there is no PDF", "[cpu]") {
  const Scratch folder;
  fs::create_directory(folder / "bin");
  test::ProcessResult result = report_in(folder);
  CHECK(result.code == 2);
  CHECK_THAT(result.err, Contains("results.json; give the folder that masque compare wrote"));
  spill(folder / "results.json", "{\"format\": 1");
  CHECK_THAT(report_in(folder).err, Contains("results.json: is not JSON"));

  spill(folder / "results.json", compare_results().dump());
  result = report_in(folder);
  CHECK(result.code == 0);
  CHECK(result.out ==
        (folder / "report.html").string() + "\n" + (folder / "report.md").string() + "\n");
  CHECK_THAT(result.err, Contains("no report.pdf: it takes chromium"));
  CHECK_THAT(slurp(folder / "report.html"), Contains("</html>"));

  add_program(folder, "chromium", "echo first; echo it fell over; exit 3\n");
  result = report_in(folder);
  CHECK(result.code == 0);
  CHECK_THAT(result.err, Contains("ended with 3: it fell over"));
  CHECK_FALSE(fs::exists(folder / "report.pdf"));

  spill(folder / "bin" / "chromium", "#!" + (folder / "nothing").string() + "\n");
  result = report_in(folder);
  CHECK(result.code == 0);
  CHECK_THAT(result.err, Contains("no report.pdf: cannot run "));

  add_program(folder, "chromium",
              "for word; do case $word in --print-to-pdf=*) echo \"$@\" > "
              "\"${word#--print-to-pdf=}\";; esac; done\n");
  result = report_in(folder);
  CHECK(result.err.empty());
  CHECK_THAT(result.out, Contains("report.pdf\n"));
  const std::string words = slurp(folder / "report.pdf");
  CHECK_THAT(words, Contains("--headless") && Contains("--no-pdf-header-footer") &&
                        Contains(" " + (folder / "report.html").string() + "\n"));
  const std::size_t profile = words.find("--user-data-dir=") + 16;
  CHECK_FALSE(fs::exists(words.substr(profile, words.find(' ', profile) - profile)));
}

}  // namespace
}  // namespace masque
