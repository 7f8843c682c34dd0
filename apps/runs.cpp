#include "apps/runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "apps/common.h"
#include "apps/flags.h"
#include "apps/json.h"
#include "apps/machine.h"
#include "apps/report/format.h"
#include "apps/run_log.h"
#include "apps/table.h"
#include "kernels/backend.h"
#include "models/transformer.h"

namespace masque {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct RunsOptions {
  std::string folder, sort = "val";
  bool json = false;
};

struct Row {
  RunLog log;
  std::string name;
  bool training = false;  // a process of this machine writes its log
  double age = NAN;       // seconds since it last logged

  const char* state() const {
    if (training) return "running";
    if (!log.config || !log.written) return "damaged";
    return log.steps >= log.config->training.steps ? "done" : "interrupted";
  }
  bool ar() const { return log.config->model.objective == ObjectiveKind::ar; }
  double best() const { return log.best() == nullptr ? NAN : log.best()->loss; }
};

constexpr const char* kFooter =
    "Examples:\n"
    "  masque runs\n"
    "  masque runs sweeps/lr --sort age\n"
    "  masque runs --json | jq '.runs[] | [.name, .best_val]'";

// On a terminal a name does no more than say itself.
std::string printable(std::string name) {
  for (char& character : name) {
    if (static_cast<unsigned char>(character) < 0x20 || character == 0x7F) character = '?';
  }
  return name;
}

std::string name_below(const fs::path& run, const fs::path& root) {
  const fs::path name = run.lexically_relative(root);
  if (name != ".") return printable(name.string());
  std::error_code error;
  return printable(fs::canonical(run, error).filename().string());
}

std::vector<Row> rows_below(const fs::path& root) {
  const std::set<fs::path> written = written_files("metrics.jsonl");
  std::vector<Row> rows;
  for (const fs::path& folder : find_runs(root)) {
    Row& row = rows.emplace_back();
    row.log = read_run_log(folder);
    row.name = name_below(folder, root);
    std::error_code error;
    row.training = written.count(fs::canonical(folder / "metrics.jsonl", error)) > 0;
    if (row.log.written)
      row.age = std::max(0.0, std::difftime(std::time(nullptr), *row.log.written));
  }
  return rows;
}

// By objective, then by best val; or by age. What is not known comes last.
void sort_rows(std::vector<Row>& rows, const std::string& by) {
  const auto key = [&](const Row& row) {
    const double number = by == "age" ? row.age : row.best();
    const int group = by == "age" ? 0 : !row.log.config ? 2 : row.ar() ? 1 : 0;
    return std::make_pair(group, std::isnan(number) ? INFINITY : number);
  };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const Row& a, const Row& b) { return key(a) < key(b); });
}

std::string age_of(double seconds) {
  if (std::isnan(seconds)) return kNoCell;
  const auto whole = static_cast<std::int64_t>(seconds);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m", whole / 60);
  if (whole < 86400) return fmt::format("{}h", whole / 3600);
  return fmt::format("{}d", whole / 86400);
}

// How many answers rows with a best val give.
template <class Property>
std::size_t distinct(const std::vector<Row>& rows, const Property& property) {
  std::set<std::string> values;
  for (const Row& row : rows) {
    if (row.log.config && row.log.best() != nullptr) values.insert(property(*row.log.config));
  }
  return values.size();
}

void print_rows(const std::vector<Row>& rows) {
  std::vector<TableColumn> names, columns;
  const auto add = [&](std::vector<TableColumn>& to, const char* above, const char* heading,
                       const auto& cell) {
    TableColumn& column = to.emplace_back(TableColumn{above, heading, {}});
    for (const Row& row : rows) {
      const std::string text = cell(row);
      column.cells.push_back(text == "–" ? kNoCell : text);
    }
  };
  // Of what config.json has to say.
  const auto configured = [](const auto& cell) {
    return [cell](const Row& row) {
      return row.log.config ? std::string(cell(*row.log.config)) : std::string(kNoCell);
    };
  };
  add(names, "", "run", [](const Row& row) { return row.name; });
  add(names, "", "model", configured([](const RunConfig& config) {
        return report::model_name(name_of(config.model.objective));
      }));
  add(names, "", "state", [](const Row& row) { return std::string(row.state()); });
  add(columns, "para-", "meters", configured([](const RunConfig& config) {
        return report::compact(static_cast<double>(Transformer::parameter_count(config.model)));
      }));
  add(columns, "layers", "x width", configured([](const RunConfig& config) {
        return fmt::format("{} x {}", config.model.layers, config.model.width);
      }));
  add(columns, "", "steps", [](const Row& row) {
    if (!row.log.config) return grouped(row.log.steps);
    return fmt::format("{}/{}", grouped(row.log.steps), grouped(row.log.config->training.steps));
  });
  add(columns, "", "tokens", [](const Row& row) { return report::compact(row.log.last.tokens); });
  add(columns, "best val", "nats", [](const Row& row) {
    if (row.log.best() == nullptr) return std::string(kNoCell);
    const std::string nats = report::nats(row.best());
    return row.log.config ? fmt::format("{} {}", row.ar() ? "=" : "≤", nats) : "? " + nats;
  });
  add(columns, "at", "step", [](const Row& row) {
    return row.log.best() == nullptr ? std::string(kNoCell) : grouped(row.log.best()->step);
  });
  if (std::any_of(rows.begin(), rows.end(),
                  [](const Row& row) { return row.log.best_ema() != nullptr; })) {
    add(columns, "best val", "of EMA", [](const Row& row) {
      const LogPoint* best = row.log.best_ema();
      return best == nullptr ? std::string(kNoCell) : report::nats(best->loss);
    });
  }
  add(columns, "tokens", "a second",
      [](const Row& row) { return report::count(row.log.tokens_per_second); });
  add(columns, "", "age", [](const Row& row) { return age_of(row.age); });
  if (distinct(rows, val_windows) > 1) add(columns, "val", "windows", configured(val_windows));
  if (distinct(rows, val_text) > 1) add(columns, "tokens,", "train/val", configured(val_text));
  print_table(std::move(names), std::move(columns));
}

void print_notes(const std::vector<Row>& rows) {
  const auto shown = std::find_if(rows.begin(), rows.end(), [](const Row& row) {
    return row.log.config && row.log.best() != nullptr;
  });
  if (shown != rows.end()) {
    const bool alike = distinct(rows, val_windows) == 1 && distinct(rows, val_text) == 1;
    fmt::print(
        "best val: nats a token, = exact, ≤ an upper bound; the least of a run's evaluations{}.\n"
        "{}To report a number: masque eval RUN.\n",
        alike ? fmt::format(", on {} tokens", val_windows(*shown->log.config)) : "",
        alike ? "" : "It compares only between runs of the same windows and text. ");
  }
  std::vector<std::pair<std::string, std::vector<std::string>>> problems;  // and who has them
  for (const Row& row : rows) {
    for (const std::string& problem : row.log.problems) {
      auto found = std::find_if(problems.begin(), problems.end(),
                                [&](const auto& known) { return known.first == problem; });
      if (found == problems.end()) found = problems.insert(found, {problem, {}});
      found->second.push_back(row.name);
    }
  }
  for (const auto& entry : problems) {
    const std::vector<std::string>& who = entry.second;
    fmt::print("{}{}: {}\n", who[0],
               who.size() > 1 ? fmt::format(" and {} more", who.size() - 1) : "",
               printable(entry.first));
  }
}

Json to_json(const Row& row) {
  const RunLog& log = row.log;
  const LogPoint* best = log.best();
  Json json = {
      {"name", row.name},
      {"path", log.folder.string()},
      {"state", row.state()},
      {"problems", log.problems},
      {"objective", nullptr},
      {"bound", nullptr},
      {"parameters", nullptr},
      {"steps", log.steps},
      {"planned_steps", nullptr},
      {"tokens", std::isfinite(log.last.tokens) ? Json(std::llround(log.last.tokens)) : Json()},
      {"epoch", number(log.last.epoch)},
      {"seconds", number(log.last.seconds)},
      {"best_val", best == nullptr ? Json() : Json(best->loss)},
      {"best_step", best == nullptr ? Json() : Json(best->step)},
      {"best_val_ema", log.best_ema() == nullptr ? Json() : Json(log.best_ema()->loss)},
      {"last_val", log.val.empty() ? Json() : number(log.val.back().loss)},
      {"last_train", log.train.empty() ? Json() : number(log.train.back().loss)},
      {"tokens_per_second", number(log.tokens_per_second)},
      {"logged", nullptr},
      {"age_seconds", number(row.age)},
      {"config", nullptr},
      {"environment", nullptr}};
  if (log.written) json["logged"] = utc(*log.written);
  if (log.config) {
    json["objective"] = name_of(log.config->model.objective);
    json["bound"] = row.ar() ? "exact" : "upper";
    json["parameters"] = Transformer::parameter_count(log.config->model);
    json["planned_steps"] = log.config->training.steps;
    json["config"] = masque::to_json(*log.config);
  }
  std::ifstream environment(log.folder / "environment.json", std::ios::binary);
  const auto facts = nlohmann::json::parse(environment, nullptr, false);
  if (!facts.is_discarded()) json["environment"] = facts;
  return json;
}

void list_runs(const RunsOptions& options) {
  const bool chosen = !options.folder.empty();
  const fs::path root = chosen ? options.folder : fs::is_directory("runs") ? "runs" : ".";
  if (!fs::is_directory(root)) {
    throw InputError(
        fmt::format("no folder {}: give one that holds runs, or a run", root.string()));
  }
  std::vector<Row> rows = rows_below(root);
  sort_rows(rows, options.sort);
  if (options.json) {
    Json json = {{"folder", root.string()}, {"runs", Json::array()}};
    for (const Row& row : rows) json["runs"].push_back(to_json(row));
    fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  if (rows.empty()) {
    fmt::print(stderr, "no runs at or below {}: masque train makes one\n", root.string());
    return;
  }
  print_rows(rows);
  print_notes(rows);
}

}  // namespace

void add_runs_command(CLI::App& app) {
  auto options = std::make_shared<RunsOptions>();
  CLI::App* command = app.add_subcommand("runs", "List the runs below a folder, and compare them");
  command->footer(kFooter);
  command->add_option("DIR", options->folder, "Where to look: default ./runs where it is, else .")
      ->type_name(kFolder);
  takes_one_of(command->add_option("--sort", options->sort, "val: by objective, then best val"),
               {"val", "age"})
      ->capture_default_str();
  command->add_flag("--json", options->json,
                    "One JSON object on stdout, with config and environment of each");
  command->callback([options] { list_runs(*options); });
}

}  // namespace masque
