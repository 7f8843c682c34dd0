// Learning curves, and where in a window the loss lies.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/report/format.h"
#include "apps/report/sections.h"

namespace masque::report {
namespace {

struct Measure {
  const char *key, *label;
};
constexpr Measure kMeasures[] = {{"step", "steps"},
                                 {"tokens", "tokens read"},
                                 {"epoch", "epochs"},
                                 {"flops", "training FLOPs"},
                                 {"loss_tokens", "loss-bearing tokens"},
                                 {"seconds", "seconds"}};

std::vector<Point> points_of(const Field& run, const char* x, const char* y) {
  std::vector<Point> points;
  for (const Field& field : run.list("curve")) {
    points.push_back({field.number(x), field.number(y), {kNoNumber, kNoNumber}, ""});
  }
  return points;
}

// What is no worse than frequencies alone is what a curve is read for.
double most_shown(const Results& results, const std::vector<Field>& runs) {
  const Field baselines = results.root()["baselines"];
  if (!baselines.has("unigram")) return kNoNumber;
  const double unigram = 1.02 * baselines.number("unigram");
  for (const Field& run : runs) {
    for (const Point& point : points_of(run, "step", "val")) {
      if (point.y < unigram) return unigram;
    }
  }
  return kNoNumber;
}

Chart learning_curve(const Measure& measure, const std::vector<Field>& runs, double most) {
  Chart chart;
  chart.x_label = measure.label;
  chart.y_label = "nats a token";
  chart.y_most = most;
  std::map<std::string, int> seen;
  for (const Field& run : runs) {
    const std::string model = run.model("model");
    const bool first = seen[model]++ == 0;
    const std::vector<Point> val = points_of(run, measure.key, "val");
    chart.series.push_back({first ? model_name(model) + " val" : "", model, val});
    if (first) {
      chart.series.push_back({model_name(model) + " train", model,
                              points_of(run, measure.key, "train"), Stroke::dashed});
    }
    const double best = run.number("best_step");
    const std::vector<Field> curve = run.list("curve");
    for (std::size_t k = 0; k < curve.size(); ++k) {
      if (curve[k].number("step") != best) continue;
      Point point = val[k];
      point.note = fmt::format("{}: step {}, {}", run.text("id"), count(best), nats(point.y));
      chart.series.push_back({"", model, {point}, Stroke::none, true});
    }
  }
  return chart;
}

std::string end_of(const Field& run) {
  return fmt::format("{} ends best at {} nats, step {}", run.text("id"),
                     nats(run.number("best_val")), count(run.number("best_step")));
}

std::vector<Field> headline_runs(const Results& results) {
  std::vector<Field> runs;
  for (const Field& run : results.root().list("runs")) {
    if (run.text("role") == "headline" && !run.list("curve").empty()) runs.push_back(run);
  }
  return runs;
}

// Of each number and the `reach` on both sides.
std::vector<Point> moving_mean(const std::vector<double>& numbers, std::size_t reach) {
  std::vector<Point> points;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    double sum = 0;
    int known = 0;
    for (std::size_t k = i - std::min(i, reach); k < std::min(numbers.size(), i + reach + 1); ++k) {
      if (!std::isfinite(numbers[k])) continue;
      sum += numbers[k];
      ++known;
    }
    const double mean = known > 0 ? sum / known : kNoNumber;
    points.push_back({static_cast<double>(i + 1), mean, {kNoNumber, kNoNumber}, ""});
  }
  return points;
}

void add_by_masked(const Results& results, Section& section) {
  const std::vector<Field> curves = results.root().list("by_masked");
  if (curves.empty()) {
    section.blocks.push_back(Paragraph{fmt::format("Loss against the masked share: {}", kNotPart)});
    return;
  }
  Chart chart;
  chart.x_label = "share of the window that is masked";
  chart.y_label = "nats a masked token";
  std::set<std::int64_t> seeds;
  for (const Field& curve : curves) {
    const RunInfo& run = results.run(curve);
    Series series{seeds.empty() ? model_name(run.model) : "", run.model, {}, Stroke::solid, true};
    seeds.insert(run.seed);
    for (const Field& point : curve.list("points")) {
      const Interval masked = point.interval("masked");
      series.points.push_back(
          {point.number("share"),
           point.number("nats"),
           {kNoNumber, kNoNumber},
           fmt::format("seed {}: {} to {} tokens masked, {} nats", run.seed, fixed(masked.lo, 0),
                       fixed(masked.hi, 0), nats(point.number("nats")))});
    }
    chart.series.push_back(std::move(series));
  }
  section.blocks.push_back(Figure{
      "by-masked",
      fmt::format("What a masked token costs when this share of its window is masked: few masked, "
                  "and nearly all is context. The mean over all numbers masked is the NELBO. One "
                  "line a seed, exact numbers masked, no interval. {}; {}.",
                  results.provenance(seeds), results.windows()),
      {{"",
        {Plot{"by-masked", "Loss against the masked share",
              fmt::format("{} of LLaDA", plural(curves.size(), "curve")), chart}}}}});
}

void add_by_position(const Results& results, Section& section) {
  const std::vector<Field> curves = results.root().list("by_position");
  if (curves.empty()) {
    section.blocks.push_back(Paragraph{fmt::format("Loss by position: {}", kNotPart)});
    return;
  }
  constexpr std::size_t kReach = 2;
  Chart chart;
  chart.x_label = "position in the window";
  chart.y_label = "nats a token";
  std::map<std::string, int> seen;
  std::set<std::int64_t> seeds;
  for (const Field& curve : curves) {
    const RunInfo& run = results.run(curve);
    seeds.insert(run.seed);
    const std::string name = row_name(run.model, curve.text("estimator"), "");
    const bool chain = curve.text("estimator") == "chain";
    chart.series.push_back({seen[name]++ == 0 ? name : "", run.model,
                            moving_mean(curve.numbers("nats"), kReach),
                            chain ? Stroke::dashed : Stroke::solid});
  }
  section.blocks.push_back(
      Figure{"by-position",
             fmt::format("Nats by position in the window, a moving mean of {} positions. AR reads "
                         "what is left of a "
                         "position, LLaDA both sides of it. One line a run, no interval. {}; {}.",
                         2 * kReach + 1, results.provenance(seeds), results.windows()),
             {{"",
               {Plot{"by-position", "Loss by position in the window",
                     fmt::format("{}, one a run and estimator", plural(curves.size(), "curve")),
                     chart}}}}});
}

}  // namespace

Section curve_section(const Results& results) {
  Section section{"curves", "Learning curves", {}};
  const std::vector<Field> runs = headline_runs(results);
  if (runs.empty()) {
    section.blocks.push_back(Paragraph{kNotPart});
    return section;
  }
  const double most = most_shown(results, runs);
  Figure figure;
  figure.name = "curves";
  std::string description;
  for (const Field& run : runs) description += end_of(run) + "; ";
  for (const Measure& measure : kMeasures) {
    figure.views.push_back(
        {measure.label,
         {Plot{fmt::format("curves-{}", measure.key), fmt::format("Loss against {}", measure.label),
               description, learning_curve(measure, runs, most)}}});
  }
  figure.caption = fmt::format(
      "Evaluations during training: val, one line a seed, no interval; train of the first seed, "
      "dashed. LLaDA's is its bound (≤), AR's exact (=). Marks: the step of the lowest val. "
      "{}FLOPs: "
      "{} {}; windows of the val and train splits.",
      std::isfinite(most) ? "What lies above the unigram baseline is cut off. " : "",
      results.root()["protocol"].text("flops"), results.provenance());
  section.blocks.push_back(std::move(figure));
  return section;
}

Section place_section(const Results& results) {
  Section section{"places", "Where the loss lies", {}};
  add_by_masked(results, section);
  add_by_position(results, section);
  return section;
}

}  // namespace masque::report
