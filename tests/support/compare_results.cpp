#include "tests/support/compare_results.h"

#include <cmath>
#include <string>
#include <vector>

namespace masque::test {
namespace {

using Json = nlohmann::json;

constexpr int kSeeds = 3, kWindow = 64;

// Between -1 and 1, the same for the same number.
double wobble(int number) {
  return std::sin(12.9898 * number + 4.1);
}

Json around(double value, double reach) {
  return {value - reach, value + reach};
}

std::string id(const char* model, int seed) {
  return std::string(model) + "-" + std::to_string(seed);
}

Json curve(bool llada, int seed) {
  Json points = Json::array();
  for (int k = 0; k <= 20; ++k) {
    const double step = 80.0 * k;
    const double floor = llada ? 2.15 : 1.49, start = 4.17;
    double val = floor + (start - floor) * std::exp(-step / (llada ? 420.0 : 170.0));
    val += 0.012 * wobble(100 * seed + k);
    if (!llada) val += 2e-8 * step * step;  // overfits
    points.push_back({{"step", step},
                      {"tokens", step * 4096},
                      {"loss_tokens", step * 4096 * (llada ? 0.5 : 1)},
                      {"epoch", step * 4096 / 892000},
                      {"flops", step * 4096 * 4.9e6 * (llada ? 1.02 : 1)},
                      {"seconds", step * (llada ? 0.1 : 0.09)},
                      {"train", val - (llada ? 0.02 : 8e-5 * step)},
                      {"val", val}});
  }
  return points;
}

Json run(const char* model, int seed, const char* role, const char* label, const Json& set) {
  const bool llada = std::string(model) == "llada";
  const bool named = std::string(role) == "headline";
  return {{"id", named ? id(model, seed) : id(label, seed)},
          {"model", model},
          {"seed", seed},
          {"role", role},
          {"label", label},
          {"set", set},
          {"steps", 1600},
          {"tokens", 6553600},
          {"seconds", 160.5},
          {"tokens_per_second", 40832.0},
          {"best_step", llada ? 1600 : 1360},
          {"best_val", llada ? 2.15 : 1.49},
          {"curve", named ? curve(llada, seed) : Json::array()}};
}

Json model(const char* name, const char* hash) {
  const bool llada = std::string(name) == "llada";
  return {{"name", name},
          {"parameters", 816384},
          {"config",
           {{"model", {{"objective", name}, {"layers", 4}, {"width", 128}, {"context", kWindow}}},
            {"training",
             {{"steps", 1600}, {"lr", 1e-3}, {"dropout", llada ? 0.0 : 0.1}, {"epsilon", 1e-3}}}}},
          {"config_hash", hash}};
}

Json score(const char* model, const char* estimator, const char* order) {
  return {{"model", model},
          {"estimator", estimator},
          {"order", order == nullptr ? Json() : Json(order)}};
}

Json headline(Json row, const char* bound, double nats, int windows) {
  row["bound"] = bound;
  row["nats"] = nats;
  row["across_seeds"] = around(nats, 0.013);
  row["by_seed"] = {nats - 0.004, nats + 0.005, nats - 0.001};
  row["ci95_text"] = around(nats, 0.03);
  row["bits"] = nats / std::log(2.0);
  row["perplexity"] = std::exp(nats);
  row["windows"] = windows;
  return row;
}

Json difference(const char* name, const Json& first, const Json& second, double nats, int windows,
                double reach) {
  Json paired = Json::array();
  for (int seed = 1; seed <= kSeeds; ++seed) {
    const double of_seed = nats + 0.004 * wobble(seed);
    paired.push_back({{"seed", seed}, {"nats", of_seed}, {"interval", around(of_seed, 0.02)}});
  }
  return {{"name", name},       {"first", first}, {"second", second},
          {"windows", windows}, {"nats", nats},   {"across_seeds", around(nats, reach)},
          {"paired", paired},   {"note", ""}};
}

Json estimate(const char* name, const char* split, const Json& of, double nats) {
  Json entry = of;
  const bool bound = of["estimator"] == "nelbo";
  entry.update({{"run", name},
                {"seed", 1},
                {"split", split},
                {"bound", bound ? "upper" : "exact"},
                {"nats", nats},
                {"ci95", around(nats, bound ? 0.006 : 0)},
                {"ci95_text", around(nats, 0.03)},
                {"bits", nats / std::log(2.0)},
                {"perplexity", std::exp(nats)},
                {"tokens", 111539},
                {"windows", 1743},
                {"draws", bound ? Json(32) : Json()},
                {"accuracy", bound ? 0.42 : 0.55},
                {"seconds", 12.25},
                {"config_hash", bound ? "0a1b2c3d" : "4e5f6a7b"}});
  return entry;
}

Json quality(const char* name, const char* kind, const Json& strategy, const Json& steps,
             double judge, double entropy) {
  const bool real = std::string(kind) == "real";
  const bool llada = std::string(kind) == "llada";
  const Json forwards = real ? Json() : llada ? steps : Json(256);
  return {{"name", name},
          {"kind", kind},
          {"run", real ? Json() : Json(id(kind, 1))},
          {"strategy", strategy},
          {"steps", steps},
          {"temperature", real ? Json() : Json(1.0)},
          {"count", 64},
          {"length", 256},
          {"judge_ar", judge},
          {"judge_kn", judge + 0.3},
          {"entropy", entropy},
          {"distinct", {{"1", 0.004}, {"2", 0.06}, {"3", 0.28}, {"4", 0.6}}},
          {"self_bleu", 0.41},
          {"real_words", 0.93},
          {"divergence", {{"1", 0.002}, {"2", 0.03}, {"3", 0.12}, {"4", Json()}}},
          {"novelty", 0.97},
          {"longest_copy", 14.5},
          {"repetition", 0.01},
          {"tokens_per_second", real ? Json() : Json(llada ? 90000.0 / steps.get<int>() : 2400.0)},
          {"forwards", forwards},
          {"tokens_per_forward", real ? Json() : Json(256.0 / forwards.get<int>())}};
}

Json all_quality() {
  Json sets = {quality("test text", "real", Json(), Json(), 1.51, 3.31),
               quality("AR, T = 1", "ar", Json(), Json(), 1.55, 3.30)};
  for (const char* strategy : {"random", "low_confidence", "max_prob", "margin", "entropy"}) {
    const double start = 1.72 + 0.05 * wobble(static_cast<int>(strategy[0]));
    const bool sharp = strategy[0] == 'l';
    for (const int steps : {256, 128, 64, 32, 16}) {
      const double judge = start - (sharp ? 0.45 : 0) + 1.1 * std::pow(8.0 / steps, 0.8);
      const std::string name = std::string(strategy) + ", " + std::to_string(steps) + " steps";
      sets.push_back(quality(name.c_str(), "llada", strategy, steps, judge,
                             (sharp ? 2.9 : 3.3) + 0.02 * wobble(steps)));
    }
  }
  return sets;
}

Json ablation(const char* group, const char* setting, const Json& set, bool baseline,
              const char* of, double effect) {
  return {{"group", group},
          {"setting", setting},
          {"set", set},
          {"baseline", baseline},
          {"run", of},
          {"seed", 1},
          {"steps", 1600},
          {"nats", 2.15 + effect},
          {"ci95", around(2.15 + effect, 0.006)},
          {"difference", baseline ? Json() : Json(effect)},
          {"interval", baseline ? Json() : around(effect, 0.009)}};
}

// Verse with all that a page must escape, and characters of several bytes.
const std::string kFinal =
    "KING:\nAy, <script>alert(1)</script> & \"thou\" 'st_ né | *so* `ill`: 中";

// From masks to kFinal, some positions a step.
Json generation() {
  std::vector<std::string> characters;
  for (const char byte : kFinal) {
    if ((byte & 0xC0) == 0x80) {
      characters.back() += byte;
    } else {
      characters.emplace_back(1, byte);
    }
  }
  const int length = static_cast<int>(characters.size()), steps = 8, prompt = 5;
  std::vector<std::string> shown(characters.size(), "_");
  std::copy(characters.begin(), characters.begin() + prompt, shown.begin());
  Json frames = Json::array();
  for (int step = 0; step <= steps; ++step) {
    Json fresh = Json::array(), confidence = Json::array();
    for (int i = prompt; step > 0 && i < length; ++i) {
      if (i * 5 % steps != step - 1) continue;
      shown[static_cast<std::size_t>(i)] = characters[static_cast<std::size_t>(i)];
      fresh.push_back(i);
      confidence.push_back(0.5 + 0.49 * wobble(i));
    }
    std::string text;
    for (const std::string& character : shown) text += character;
    frames.push_back(
        {{"step", step}, {"text", text}, {"fresh", fresh}, {"confidence", confidence}});
  }
  return {{"title", "a <short> one"}, {"model", "llada"}, {"run", "llada-1"},
          {"strategy", "margin"},     {"steps", steps},   {"prompt", "KING:"},
          {"length", length},         {"frames", frames}};
}

Json by_masked() {
  Json curves = Json::array();
  for (int seed = 1; seed <= kSeeds; ++seed) {
    Json points = Json::array();
    for (int k = 0; k < 8; ++k) {
      const double share = (k + 0.5) / 8;
      points.push_back({{"masked", {8 * k + 1, 8 * k + 8}},
                        {"share", share},
                        {"nats", 0.9 + 2.4 * share * share + 0.02 * wobble(10 * seed + k)}});
    }
    curves.push_back({{"run", id("llada", seed)}, {"points", points}});
  }
  return curves;
}

Json by_position() {
  Json curves = Json::array();
  for (const char* model : {"ar", "llada"}) {
    const bool llada = *model == 'l';
    std::vector<double> nats;
    for (int i = 0; i < kWindow; ++i) {
      const double edge = std::exp(-i / 4.0) + (llada ? std::exp(-(kWindow - 1 - i) / 4.0) : 0);
      nats.push_back((llada ? 2.1 : 1.4) + 1.2 * edge + 0.05 * wobble(i));
    }
    curves.push_back(
        {{"run", id(model, 1)}, {"estimator", llada ? "nelbo" : "exact"}, {"nats", nats}});
  }
  return curves;
}

Json sample(const char* model, const Json& strategy, const Json& steps) {
  return {{"model", model},
          {"run", id(model, 1)},
          {"strategy", strategy},
          {"steps", steps},
          {"temperature", 0.8},
          {"prompt", "KING:"},
          {"texts", {kFinal, "KING:\nNo more of that.\n\nQUEEN:\nWhat news?\n```\nfenced"}}};
}

}  // namespace

Json empty_compare_results() {
  Json results = {{"format", 1},
                  {"command", "masque compare out --data 'a & b.txt' --seeds 1,2,3"},
                  {"started", "2026-01-02T03:04:05Z"},
                  {"seconds", 3720.5},
                  {"complete", false},
                  {"missing", {"training of llada-1 <not begun>", "quality"}}};
  results["environment"] = {{"version", "0.1.0"},
                            {"commit", "0123456789ab"},
                            {"device", "cpu, f32, 2 threads"},
                            {"cpu", "An invented CPU"}};
  results["data"] = {{"file", "texts/a & b.txt"},
                     {"characters", 1115394},
                     {"sha256", "86c4e6aa"},
                     {"vocab_size", 69},
                     {"train", 892315},
                     {"val", 111540},
                     {"test", 111539},
                     {"leakage32", 0.0123}};
  results["protocol"] = {{"preset", "quick"},
                         {"split", "test"},
                         {"checkpoint", "best"},
                         {"window", kWindow},
                         {"windows", 1743},
                         {"chain_windows", 256},
                         {"draws", 32},
                         {"mixture_orders", 16},
                         {"seeds", {1, 2, 3}},
                         {"judge_seed", 1003},
                         {"trials", 2},
                         {"budget_seconds", 7200},
                         {"flops", "6 a weight and token, and attention's products."}};
  results["baselines"] = {{"unigram", Json()}, {"bigram", Json()}};
  for (const char* key :
       {"models", "runs", "estimates", "headline", "differences", "by_masked", "by_position",
        "samples", "quality", "ablations", "study", "crossings", "viewer"}) {
    results[key] = Json::array();
  }
  return results;
}

Json compare_results() {
  Json results = empty_compare_results();
  results["complete"] = true;
  results["missing"] = Json::array();
  results["baselines"] = {{"unigram", 3.307}, {"bigram", 2.501}};
  results["models"] = {model("llada", "0a1b2c3d"), model("ar", "4e5f6a7b")};
  for (int seed = 1; seed <= kSeeds; ++seed) {
    results["runs"].push_back(run("llada", seed, "headline", "", Json::array()));
    results["runs"].push_back(run("ar", seed, "headline", "", Json::array()));
  }
  results["runs"].push_back(run("ar", 1003, "judge", "judge", Json::array()));
  results["runs"].push_back(run("llada", 1, "ablation", "t-iid", {"t_sampling=iid"}));
  results["runs"].push_back(run("llada", 1, "ablation", "unweighted", {"weighting=none"}));
  results["runs"].push_back(run("ar", 1, "ablation", "dry", {"dropout=0"}));

  const Json ar = score("ar", "exact", nullptr), nelbo = score("llada", "nelbo", nullptr);
  const Json left = score("llada", "chain", "l2r"), margin = score("llada", "chain", "margin");
  results["headline"] = {headline(nelbo, "upper", 2.15, 1743),
                         headline(score("llada", "chain", "random"), "mean", 2.13, 256),
                         headline(left, "exact", 2.05, 256),
                         headline(score("llada", "mixture", "random"), "exact", 2.08, 256),
                         headline(margin, "exact", 1.98, 256),
                         headline(ar, "exact", 1.494, 1743)};
  results["differences"] = {difference("LLaDA NELBO − AR", nelbo, ar, 0.656, 1743, 0.02),
                            difference("LLaDA chain, margin − AR", margin, ar, 0.486, 256, 0.03),
                            difference("NELBO − mean random chain", nelbo,
                                       score("llada", "chain", "random"), 0.003, 256, 0.01)};
  results["estimates"] = {estimate("llada-1", "test", nelbo, 2.146),
                          estimate("llada-1", "train", nelbo, 2.09),
                          estimate("ar-1", "test", ar, 1.49), estimate("ar-1", "train", ar, 1.21)};
  results["by_masked"] = by_masked();
  results["by_position"] = by_position();
  results["samples"] = {sample("ar", Json(), Json()), sample("llada", "margin", 128)};
  results["quality"] = all_quality();
  results["ablations"] = {
      ablation("t", "stratified", Json::array(), true, "llada-1", 0),
      ablation("t", "iid", {"t_sampling=iid"}, false, "t-iid-1", 0.004),
      ablation("weighting", "none", {"weighting=none"}, false, "unweighted-1", 0.061),
      ablation("dropout", "0", {"dropout=0"}, false, "dry-1", -0.018)};
  results["viewer"] = {generation(), generation()};
  return results;
}

}  // namespace masque::test
