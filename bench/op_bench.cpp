#include "bench/op_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "apps/common.h"
#include "bench/report.h"
#include "tests/support/op_case.h"

namespace masque::bench {
namespace {

using test::OpCase;
using test::OpRun;
using test::Work;

constexpr int kWarmup = 2;  // rounds that do not count

struct OpOptions {
  std::string filter;
  int repeat = 20;
  bool json = false, list = false;
  CommonOptions common;
};

// A case and what its passes took, round by round.
struct TimedCase {
  TimedCase(const OpCase& op_case, const Device& device) : op(op_case), run(op, device) {}

  bool has_backward() const { return op.backward_work.activations > 0; }

  const OpCase& op;
  OpRun run;
  std::vector<double> forward, backward;  // seconds
};

struct Row {
  std::string op, variant, pass;
  Spread seconds;
  double bytes = 0, flops = 0;

  double byte_rate() const { return bytes / seconds.median; }
  double flop_rate() const { return flops / seconds.median; }
};

// An emulated GPU is a CPU here.
bool fits(const OpCase& op, [[maybe_unused]] const Device& device) {
#ifdef MASQUE_EMULATE
  return !op.fills_gpu;
#else
  return !op.fills_gpu || on_gpu(device);
#endif
}

std::vector<const OpCase*> selected(const std::string& filter, const Device& device) {
  std::vector<const OpCase*> cases;
  std::set<std::string> names;
  for (const OpCase& op : test::all_cases()) {
    if (!op.benchmark || !fits(op, device)) continue;
    names.insert(op.name);
    if ((op.name + " " + op.variant).find(filter) != std::string::npos) cases.push_back(&op);
  }
  if (cases.empty()) {
    throw InputError(
        fmt::format("FILTER {}: no timed case has it in its name or shape; there are {}", filter,
                    fmt::join(names, ", ")));
  }
  return cases;
}

void time_once(TimedCase& timed, Timer& timer, CacheFlush& flush) {
  const OpRun::Clock clock{[&] {
                             flush();
                             timer.start();
                           },
                           [&] { timer.stop(); }};
  timed.run.forward_again(clock);
  timed.forward.push_back(timer.seconds());
  if (!timed.has_backward()) return;
  clock.start();
  timed.run.backward_again();
  clock.stop();
  timed.backward.push_back(timer.seconds());
}

Row row_of(const TimedCase& timed, const std::string& pass, const Work& work,
           const std::vector<double>& seconds) {
  const Device& device = timed.run.device();
  const auto size = [](DType dtype) { return static_cast<double>(size_of(dtype)); };
  Row row{timed.op.name, timed.op.variant, pass,
          spread_of({seconds.begin() + kWarmup, seconds.end()})};
  row.bytes = work.activations * size(activation_dtype(device)) +
              work.parameters * size(param_dtype(device)) + work.integers * size(DType::i32);
  row.flops = work.flops;
  return row;
}

// Round by round, each case once a round, so that what disturbs the machine disturbs all.
std::vector<Row> time_cases(const std::vector<const OpCase*>& cases, const Device& device,
                            int repeat) {
  const auto count = static_cast<std::int64_t>(cases.size());
  Progress progress((1 + kWarmup + repeat) * count);
  std::int64_t done = 0;
  std::deque<TimedCase> all;
  for (const OpCase* op : cases) {
    TimedCase& timed = all.emplace_back(*op, device);
    timed.run.forward();
    if (timed.has_backward()) timed.run.backward(false);
    progress.update(++done, op->name);
  }
  const std::unique_ptr<Timer> timer = make_timer(device);
  CacheFlush flush(device);
  for (int round = 0; round < kWarmup + repeat; ++round) {
    for (TimedCase& timed : all) {
      time_once(timed, *timer, flush);
      progress.update(++done, timed.op.name);
    }
  }
  std::vector<Row> rows;
  for (const TimedCase& timed : all) {
    rows.push_back(row_of(timed, "forward", timed.op.forward_work, timed.forward));
    if (!timed.has_backward()) continue;
    rows.push_back(row_of(timed, "backward", timed.op.backward_work, timed.backward));
  }
  return rows;
}

void print(const std::vector<Row>& rows, const Ceilings& ceilings) {
  std::size_t name_width = 2, variant_width = 5;
  for (const Row& row : rows) {
    name_width = std::max(name_width, row.op.size());
    variant_width = std::max(variant_width, row.variant.size());
  }
  fmt::print("{:<{}}  {:<{}}  {:<8}  {:>9}  {:>7}  {:>7}  {:>7}  {:>8}  {:>10}\n", "op", name_width,
             "shape", variant_width, "pass", "median ms", "IQR ms", "GB/s", "of copy", "GFLOP/s",
             "of product");
  std::string last;
  for (const Row& row : rows) {
    const bool same = last == row.op + row.variant;
    last = row.op + row.variant;
    fmt::print("{:<{}}  {:<{}}  {:<8}  {:>9.3f}  {:>7.3f}  {:>7.1f}  {:>7}  {:>8}  {:>10}\n",
               same ? "" : row.op, name_width, same ? "" : row.variant, variant_width, row.pass,
               1e3 * row.seconds.median, 1e3 * row.seconds.range(), row.byte_rate() / 1e9,
               percent(row.byte_rate() / ceilings.copy),
               row.flops > 0 ? fmt::format("{:.1f}", row.flop_rate() / 1e9) : "–",
               row.flops > 0 ? percent(row.flop_rate() / ceilings.product) : "–");
  }
}

void print_json(const std::vector<Row>& rows, const Ceilings& ceilings, const Device& device,
                int repeat) {
  nlohmann::ordered_json json = report("op", device, ceilings);
  json["repeat"] = repeat;
  for (const Row& row : rows) {
    json["results"].push_back({{"op", row.op},
                               {"shape", row.variant},
                               {"pass", row.pass},
                               {"median_ms", 1e3 * row.seconds.median},
                               {"first_quartile_ms", 1e3 * row.seconds.first_quartile},
                               {"third_quartile_ms", 1e3 * row.seconds.third_quartile},
                               {"bytes", row.bytes},
                               {"flops", row.flops},
                               {"gb_s", row.byte_rate() / 1e9},
                               {"gflop_s", row.flop_rate() / 1e9},
                               {"of_copy", row.byte_rate() / ceilings.copy},
                               {"of_product", row.flop_rate() / ceilings.product}});
  }
  fmt::print("{}\n", json.dump());
}

void run(const OpOptions& options) {
  if (options.repeat < 1) {
    throw InputError(fmt::format("--repeat {}: must be at least 1", options.repeat));
  }
  const Device device = apply(options.common);
  const std::vector<const OpCase*> cases = selected(options.filter, device);
  if (options.list) {
    std::set<std::string> names;
    for (const OpCase* op : cases) names.insert(op->name);
    fmt::print("{}\n", fmt::join(names, "\n"));
    return;
  }
  const Ceilings ceilings = measure_ceilings(device);
  const std::vector<Row> rows = time_cases(cases, device, options.repeat);
  if (options.json) return print_json(rows, ceilings, device, options.repeat);
  print_head(device, ceilings,
             fmt::format("{} repeats, interleaved, nothing in the caches", options.repeat));
  print(rows, ceilings);
}

}  // namespace

void add_op_command(CLI::App& app) {
  auto options = std::make_shared<OpOptions>();
  CLI::App* command = app.add_subcommand("op", "Time single ops, forward and backward");
  command->footer("Example:\n  masque-bench op attention --repeat 50");
  command->add_option("FILTER", options->filter, "Only cases whose name or shape contains it");
  command->add_option("--repeat", options->repeat, "Repeats of each pass")->capture_default_str();
  add_device_options(*command, options->common);
  command->add_flag("--json", options->json, "One JSON object on stdout");
  command->add_flag("--list", options->list, "Only the names of the ops that would be timed");
  command->callback([options] { run(*options); });
}

}  // namespace masque::bench
