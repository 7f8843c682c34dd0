#include "apps/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/flags.h"
#include "apps/report/format.h"
#include "apps/report/plot.h"
#include "apps/report/svg.h"
#include "apps/run_log.h"
#include "core/check.h"
#include "models/files.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

struct PlotOptions {
  std::vector<std::string> runs;
  std::string output = "curves.svg", x = "step", split = "val";
};

struct Curve {
  RunLog log;
  std::string name, style;

  bool ar() const { return log.config->model.objective == ObjectiveKind::ar; }
  const char* sign() const { return ar() ? "=" : "≤"; }
};

constexpr const char* kFooter =
    "Examples:\n"
    "  masque plot runs/llada runs/ar\n"
    "  masque plot runs/* -o tokens.svg --x tokens --split both";

constexpr std::size_t kMostDots = 40;   // of a curve; with more, only its lowest point has one
constexpr std::size_t kMostOthers = 8;  // colours besides those of LLaDA and AR

std::string given(const std::string& path) {  // without a slash at its end
  return path.size() > 1 && path.back() == '/' ? given(path.substr(0, path.size() - 1)) : path;
}

Curve read_curve(const std::string& path) {
  if (!fs::is_directory(path)) {
    throw InputError(fmt::format("no run folder {}: masque runs lists those there are", path));
  }
  if (!looks_like_run(path)) {
    throw InputError(
        fmt::format("{} is no run folder: masque runs {} lists those below it", path, path));
  }
  Curve curve{read_run_log(path), path, ""};
  if (!curve.log.config || !curve.log.written) {
    throw InputError(
        fmt::format("{}: {}; leave it out", path, fmt::join(curve.log.problems, "; ")));
  }
  for (const std::string& problem : curve.log.problems) {
    fmt::print(stderr, "masque: {}: {}\n", path, problem);
  }
  return curve;
}

// The last part of each path, or the whole of it where two share that.
void name_curves(std::vector<Curve>& curves) {
  std::vector<std::string> names;
  names.reserve(curves.size());
  for (const Curve& curve : curves) names.push_back(fs::path(curve.name).filename().string());
  for (std::size_t k = 0; k < curves.size(); ++k) {
    if (std::count(names.begin(), names.end(), names[k]) == 1) curves[k].name = names[k];
  }
}

// LLaDA's colour and AR's go to the first of each.
void colour_curves(std::vector<Curve>& curves) {
  bool llada = false, ar = false;
  std::size_t others = 0;
  for (Curve& curve : curves) {
    bool& taken = curve.ar() ? ar : llada;
    curve.style = taken ? fmt::format("s{}", ++others) : curve.ar() ? "ar" : "llada";
    taken = true;
  }
  if (others > kMostOthers) {
    throw InputError(
        fmt::format("{} runs: colours tell apart one LLaDA, one AR and {} more; give fewer",
                    curves.size(), kMostOthers));
  }
}

void require_points(const Curve& curve, const std::vector<LogPoint>& points, const char* split) {
  if (std::any_of(points.begin(), points.end(),
                  [](const LogPoint& point) { return std::isfinite(point.loss); })) {
    return;
  }
  const TrainingConfig& training = curve.log.config->training;
  if (std::string(split) == "val" && training.val_fraction == 0) {
    throw InputError(fmt::format("{}: has no val split (val_fraction is 0): give --split train",
                                 curve.log.folder.string()));
  }
  if (std::string(split) == "ema" && training.ema == 0) {
    throw InputError(fmt::format("{}: was trained without an EMA of its weights (ema is 0)",
                                 curve.log.folder.string()));
  }
  throw InputError(fmt::format(
      "{}: has no evaluation of {} yet at step {} (eval_every is {}): wait, or leave it out",
      curve.log.folder.string(), split, curve.log.steps, training.eval_every));
}

double along(const LogPoint& point, const std::string& x) {
  if (x == "tokens") return point.tokens;
  if (x == "epoch") return point.epoch;
  return x == "seconds" ? point.seconds : static_cast<double>(point.step);
}

report::Series series_of(const Curve& curve, const std::vector<LogPoint>& log,
                         const std::string& x) {
  report::Series series;
  series.style = curve.style;
  for (const LogPoint& point : log) {
    report::Point& drawn = series.points.emplace_back();
    drawn.x = along(point, x);
    drawn.y = point.loss;
    drawn.note = fmt::format("{}: step {}, {} {} nats", curve.name,
                             report::count(static_cast<double>(point.step)), curve.sign(),
                             report::nats(point.loss));
  }
  return series;
}

const LogPoint& lowest(const std::vector<LogPoint>& points) {
  return *std::min_element(points.begin(), points.end(), [](const LogPoint& a, const LogPoint& b) {
    return std::isfinite(a.loss) && (!std::isfinite(b.loss) || a.loss < b.loss);
  });
}

const std::vector<LogPoint>& points_of(const RunLog& log, const std::string& split) {
  if (split == "ema") return log.val_ema;
  return split == "val" ? log.val : log.train;
}

// What --split shows. split: val, ema or train.
bool shows(const PlotOptions& options, const std::string& split) {
  return options.split == split || (options.split == "both" && split != "ema");
}

const char* name_of_split(const std::string& chosen) {
  if (chosen == "both") return "val, dashed of train";
  if (chosen == "ema") return "val by the averaged weights";
  return chosen == "val" ? "val" : "train";
}

void add_series(report::Chart& chart, const Curve& curve, const char* split,
                const PlotOptions& options) {
  const bool val = std::string(split) == "val", only = options.split == split;  // of a run
  const std::vector<LogPoint>& points = points_of(curve.log, split);
  require_points(curve, points, split);
  const LogPoint& best = lowest(points);
  report::Series series = series_of(curve, points, options.x);
  if (only || val) {
    series.name = fmt::format("{} {} {}", curve.name, curve.sign(), report::nats(best.loss));
    series.dots = points.size() <= kMostDots;
    const auto at = static_cast<std::size_t>(&best - points.data());
    if (!series.dots) {
      chart.series.push_back({"", curve.style, {series.points[at]}, report::Stroke::none, true});
    }
  } else {
    series.stroke = report::Stroke::dashed;  // what y_label says of it is enough
  }
  chart.series.push_back(std::move(series));
}

// What the numbers are, and whether they compare.
std::string y_label(const std::vector<Curve>& curves, const std::string& split) {
  bool exact = false, upper = false, alike = true;
  const RunConfig& first = *curves.front().log.config;
  for (const Curve& curve : curves) {
    (curve.ar() ? exact : upper) = true;
    const RunConfig& config = *curve.log.config;
    alike =
        alike && val_windows(config) == val_windows(first) && val_text(config) == val_text(first);
  }
  std::string label = fmt::format("nats a token of {}", name_of_split(split));
  if (alike) label += fmt::format(" ({} tokens)", val_windows(first));
  if (exact) label += ": = exact (AR)";
  if (upper) label += fmt::format("{} ≤ an upper bound (LLaDA)", exact ? "," : ":");
  if (!alike) {
    label += "; windows or texts differ: not all compare";
    fmt::print(stderr,
               "masque: these runs were not all evaluated on the same windows of the same text; "
               "masque runs shows which\n");
  }
  return label;
}

report::Plot plot_of(const std::vector<Curve>& curves, const PlotOptions& options) {
  report::Chart chart;
  chart.x_label = options.x == "tokens"    ? "tokens read"
                  : options.x == "epoch"   ? "epochs"
                  : options.x == "seconds" ? "seconds of training"
                                           : "steps";
  chart.y_label = y_label(curves, options.split);
  std::string description;
  for (const Curve& curve : curves) {
    for (const char* split : {"val", "ema", "train"}) {
      if (shows(options, split)) add_series(chart, curve, split, options);
    }
    if (const LogPoint* best = curve.log.best()) {
      description +=
          fmt::format("{}: lowest val {} {} nats, step {}. ", curve.name, curve.sign(),
                      report::nats(best->loss), report::count(static_cast<double>(best->step)));
    }
  }
  const std::string splits =
      options.split == "both" ? "val and train" : name_of_split(options.split);
  return {"curves", fmt::format("Loss of {} against {}", splits, chart.x_label),
          description + "Evaluations during training; the number of a curve is its lowest.", chart};
}

void plot(const PlotOptions& options) {
  const fs::path output = options.output;
  if (output.extension() != ".svg") {
    throw InputError(
        fmt::format("-o {}: is written as SVG; give a name that ends in .svg", options.output));
  }
  if (output.has_parent_path() && !fs::is_directory(output.parent_path())) {
    throw InputError(fmt::format("-o {}: there is no folder {}; make it first", options.output,
                                 output.parent_path().string()));
  }
  std::vector<Curve> curves;
  for (const std::string& run : options.runs) curves.push_back(read_curve(given(run)));
  name_curves(curves);
  colour_curves(curves);
  write_file(output, report::svg_file(plot_of(curves, options), report::kWide));
  fmt::print("{}\n", options.output);
}

}  // namespace

void add_plot_command(CLI::App& app) {
  auto options = std::make_shared<PlotOptions>();
  CLI::App* command = app.add_subcommand("plot", "Draw the learning curves of runs as an SVG");
  command->footer(kFooter);
  command->add_option("RUN", options->runs, "Folders of runs")->type_name(kRun)->required();
  command->add_option("-o,--output", options->output, "The SVG: light, or dark where its reader is")
      ->type_name(kFile)
      ->capture_default_str();
  takes_one_of(command->add_option("--x", options->x, "What the curves run along"),
               {"step", "tokens", "epoch", "seconds"})
      ->capture_default_str();
  takes_one_of(
      command->add_option("--split", options->split,
                          "train is measured as val is; ema is val by the averaged weights"),
      {"val", "train", "both", "ema"})
      ->capture_default_str();
  command->callback([options] { plot(*options); });
}

}  // namespace masque
