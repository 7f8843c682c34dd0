#include "apps/eval.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/common.h"
#include "apps/eval_report.h"
#include "apps/flags.h"
#include "apps/own_text.h"
#include "apps/weights.h"
#include "models/chain.h"
#include "models/dataset.h"
#include "models/likelihood.h"
#include "models/ngram.h"
#include "models/run.h"

namespace masque {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  masque eval runs/llada --data tinyshakespeare.txt\n"
    "  masque eval runs/llada --data tinyshakespeare.txt --split val --windows 100 --draws 128\n"
    "  masque eval runs/llada --estimator chain --order max_prob --windows 64\n"
    "  masque eval runs/llada --estimator mixture --draws 16 --windows 64\n"
    "  masque eval runs/ar --data another.txt --split all --json";
constexpr double kSecondsPerLine = 10;  // of progress, off a terminal
constexpr std::int64_t kChainOrders = 4, kMixtureOrders = 16;
constexpr std::int64_t kManyForwards = 10000;  // of a sequence, to be told beforehand

struct EvalOptions {
  std::string run, data, split = "test";
  WeightsChoice weights;
  std::optional<std::string> estimator, order;
  std::optional<std::int64_t> draws;
  std::int64_t batch = 32, windows = 0;
  bool json = false, curves = false;
  CommonOptions common;
};

// What is evaluated, and what else of the text the baselines count.
struct EvalText {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> train;  // empty where the text is not the run's own
};

EvalText read_split(const EvalOptions& options, const RunConfig& config,
                    const Tokenizer& tokenizer) {
  const std::string& split = options.split;
  const std::filesystem::path file =
      find_data(options.data.empty() ? config.data.file : options.data);
  std::vector<std::int32_t> tokens =
      tokenizer.encode(read_data(file, config.training.tokenizer).text);
  const bool own = static_cast<std::int64_t>(tokens.size()) == config.data.tokens;
  if (!own && split != "all") {
    throw InputError(fmt::format(
        "{} has {} {}s and the run's own text {}: its {} split is another; give --split all",
        file.string(), tokens.size(), tokenizer.unit(), config.data.tokens, split));
  }
  EvalText text;
  if (split == "all") text.tokens = tokens;
  Splits splits = split_tokens(std::move(tokens), config.training);
  if (split == "val") text.tokens = std::move(splits.val);
  if (split == "test") text.tokens = std::move(splits.test);
  if (split == "train") text.tokens = splits.train;
  if (own) text.train = std::move(splits.train);
  if (text.tokens.empty()) {
    throw InputError(
        fmt::format("the {} split is empty (train_fraction {}, val_fraction {}): choose another",
                    split, config.training.train_fraction, config.training.val_fraction));
  }
  return text;
}

// What is computed: the estimator asked for, which must suit the run's objective, its order and its
// number of draws.
struct EvalPlan {
  std::string estimator;
  std::optional<DecodingOrder> order;  // chain and mixture
  std::int64_t draws = 0;

  bool exact() const { return estimator == "exact"; }
};

std::string choose_estimator(const EvalOptions& options, ObjectiveKind objective) {
  const bool ar = objective == ObjectiveKind::ar;
  const std::string estimator = options.estimator.value_or(ar ? "exact" : "nelbo");
  if ((estimator == "exact") != ar) {
    throw InputError(fmt::format("estimator {} does not suit {}, whose objective is {}: choose {}",
                                 estimator, options.run, name_of(objective),
                                 ar ? "exact" : "nelbo, chain or mixture"));
  }
  return estimator;
}

EvalPlan plan_of(const EvalOptions& options, ObjectiveKind objective) {
  EvalPlan plan;
  plan.estimator = choose_estimator(options, objective);
  if (options.order && plan.estimator != "chain") {
    throw InputError(fmt::format(
        "--order {}: {}; leave it out, or give --estimator chain", *options.order,
        plan.estimator == "mixture" ? "a mixture is of random orders"
                                    : fmt::format("{} takes no order", plan.estimator)));
  }
  if (plan.exact()) {
    if (options.draws) {
      throw InputError(
          fmt::format("--draws {}: exact draws nothing; leave it out", *options.draws));
    }
    return plan;
  }
  if (plan.estimator == "nelbo") {
    plan.draws = options.draws.value_or(LikelihoodOptions().draws);
    return plan;
  }
  plan.order = order_of(options.order.value_or("random"));
  if (*plan.order != DecodingOrder::random) {
    if (options.draws) {
      throw InputError(
          fmt::format("--draws {}: {} is one order; leave it out, or give --order "
                      "random",
                      *options.draws, *options.order));
    }
    plan.draws = 1;
    return plan;
  }
  plan.draws = options.draws.value_or(plan.estimator == "mixture" ? kMixtureOrders : kChainOrders);
  if (plan.draws < 1) {
    throw InputError(fmt::format("--draws {}: give at least 1 order", plan.draws));
  }
  if (plan.estimator == "mixture" && options.curves) {
    throw InputError("--curves: a mixture has none; give --estimator chain");
  }
  return plan;
}

// A bar on a terminal; elsewhere a line now and then.
std::function<void(std::int64_t, std::int64_t)> reporter(Progress& progress) {
  return [&progress, printed = 0.0](std::int64_t done, std::int64_t total) mutable {
    progress.update(done, "windows");
    if (progress.on_terminal() || progress.seconds() - printed < kSecondsPerLine) return;
    printed = progress.seconds();
    progress.line(fmt::format("{}/{} windows, ETA {}", done, total, progress.eta(done)));
  };
}

// Bytes of UTF-8 of the tokens that windows score.
std::int64_t scored_bytes(const Tokenizer& tokenizer, std::span<const std::int32_t> tokens,
                          const std::vector<Window>& windows) {
  std::int64_t bytes = 0;
  for (const Window& window : windows) {
    bytes += tokenizer.count_bytes(
        tokens.subspan(static_cast<std::size_t>(window.begin + window.scored_from),
                       static_cast<std::size_t>(window.length - window.scored_from)));
  }
  return bytes;
}

// Fills in what a chain or a mixture of orders comes to.
void estimate_chain(EvalReport& report, const EvalPlan& plan, Predictor& predictor,
                    const EvalText& text, const std::vector<Window>& windows,
                    std::span<const std::uint8_t> excluded, const LikelihoodOptions& how) {
  ChainOptions options;
  options.order = *plan.order;
  options.draws = plan.draws;
  options.batch = how.batch;
  options.seed = how.seed;
  options.progress = how.progress;
  const ChainLikelihood chain =
      chain_likelihood(predictor, text.tokens, windows, excluded, options);
  report.likelihood = chain.mean;
  if (*plan.order != DecodingOrder::random) return;
  const Likelihood mixture = mixture_likelihood(chain, windows, how.seed);
  if (plan.estimator == "mixture") {
    report.likelihood = mixture;
  } else {
    report.mixture = mixture;
  }
}

// Says what the whole split will take, where that is long.
void warn_of_cost(const EvalOptions& options, const EvalPlan& plan,
                  const std::vector<Window>& windows) {
  const std::int64_t forwards = chain_forwards(windows, plan.draws);
  if (options.windows > 0 || forwards < kManyForwards) return;
  fmt::print(stderr,
             "{}: {} windows x up to {} tokens x {} order{}: {} forwards of a window; "
             "--windows 64 takes {}\n",
             plan.estimator, windows.size(), windows.front().length, plan.draws,
             plan.draws == 1 ? "" : "s", grouped(forwards),
             grouped(chain_forwards(subset(windows, 64), plan.draws)));
}

void evaluate(const EvalOptions& options) {
  if (options.batch < 1) {
    throw InputError(fmt::format("--batch {}: give at least 1", options.batch));
  }
  if (options.windows < 0) {
    throw InputError(fmt::format("--windows {}: give 0 (all) or more", options.windows));
  }
  const Device device = apply(options.common);
  const RunConfig config = load_config(RunFolder(options.run));
  const EvalPlan plan = plan_of(options, config.model.objective);
  Run run = load_run(options.run, options.weights, device);
  const EvalText text = read_split(options, config, run.tokenizer);

  LikelihoodOptions how;
  how.batch = options.batch;
  how.seed = options.common.seed.value_or(kDefaultSeed);
  how.draws = plan.draws;
  how.start_token = config.training.start_token;
  const std::vector<Window> windows =
      subset(windows_for(config, static_cast<std::int64_t>(text.tokens.size())), options.windows);
  const std::vector<std::uint8_t> excluded = run.tokenizer.excluded();

  EvalReport report;
  if (plan.order) warn_of_cost(options, plan, windows);
  {
    Progress progress(static_cast<std::int64_t>(windows.size()));
    how.progress = reporter(progress);
    if (plan.order) {
      estimate_chain(report, plan, *run.network, text, windows, excluded, how);
    } else {
      const auto estimate = plan.exact() ? exact_likelihood : nelbo_likelihood;
      report.likelihood = estimate(*run.network, text.tokens, windows, excluded, how);
    }
    report.seconds = progress.seconds();
  }
  if (!text.train.empty()) {
    report.unigram = unigram_nats(text.train, text.tokens, windows, excluded);
    report.bigram = bigram_nats(text.train, text.tokens, windows, excluded);
  }
  report.run = options.run;
  report.unit = run.tokenizer.unit();
  report.bytes = scored_bytes(run.tokenizer, text.tokens, windows);
  report.objective = name_of(config.model.objective);
  report.estimator = plan.estimator;
  if (plan.exact()) report.order = "l2r";
  if (plan.order) report.order = name_of(*plan.order);
  report.split = options.split;
  report.checkpoint = run.checkpoint;
  report.ema = run.averaged;
  report.window_length = config.model.context;
  report.draws = plan.draws;
  report.seed = how.seed;
  if (options.json) {
    fmt::print("{}\n", to_json(report).dump());
  } else {
    print(report, options.curves);
  }
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command = app.add_subcommand("eval", "Likelihood of a text under a run's model");
  command->footer(kFooter);
  command->add_option("RUN", options->run, "The run's folder")->type_name(kRun)->required();
  command
      ->add_option("--data", options->data, fmt::format("{} (default: the run's own)", kDataHelp))
      ->type_name(kFile);
  takes_one_of(command->add_option("--split", options->split, "Part of the text, or all of it"),
               {"train", "val", "test", "all"})
      ->capture_default_str();
  add_weights_options(*command, options->weights);
  takes_one_of(
      command->add_option(
          "--estimator", options->estimator,
          "exact (ar); nelbo (llada; an upper bound), chain (llada; exact, decoded in an order) or "
          "mixture (llada; exact, of several random orders); default: exact or nelbo, as the run "
          "is"),
      {"exact", "nelbo", "chain", "mixture"});
  takes_one_of(command->add_option("--order", options->order, "Of chain (default random)"),
               {"l2r", "r2l", "random", "max_prob", "margin", "entropy"});
  command->add_option("--draws", options->draws,
                      "nelbo: masked copies of each window, an even number (default 32); chain and "
                      "mixture: random orders (default 4 and 16)");
  command->add_option("--windows", options->windows, "Evaluate this many, spread evenly; 0: all")
      ->capture_default_str();
  command->add_option("--batch", options->batch, "Sequences a forward")->capture_default_str();
  command->add_flag("--curves", options->curves,
                    "Print the loss by tokens masked and by position (--json always has both)");
  command->add_flag("--json", options->json, "One JSON object on stdout");
  add_common_options(*command, options->common);
  command->callback([options] { evaluate(*options); });
}

}  // namespace masque
