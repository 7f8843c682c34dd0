#include "apps/compare/writing.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "apps/sample/recording.h"
#include "models/device_sampler.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<std::int32_t>;

constexpr std::int64_t kPromptTokens = 16;
// Blanks of the passage that is filled: every third run of this many tokens.
constexpr std::int64_t kBlankRun = 8;

// How a text is written.
struct Manner {
  std::string title;
  std::string strategy;  // LLaDA; empty for AR
  std::int64_t steps = 0;
  double temperature = 1;
};

std::vector<Manner> manners(const Run& run) {
  const std::int64_t T = run.config.model.context;
  if (run.config.model.objective == ObjectiveKind::ar) {
    return {{"AR, left to right", "", T, 1}, {"AR, temperature 0.8", "", T, 0.8}};
  }
  return {{"LLaDA, random order, one token a step", "random", T, 1},
          {"LLaDA, most confident first, one token a step", "low_confidence", T, 1},
          {"LLaDA, most confident first, four tokens a step", "low_confidence",
           std::max<std::int64_t>(1, T / 4), 1}};
}

Ids prompt_of(const Run& run, const WritingTask& task) {
  const auto length = std::min(
      {static_cast<std::int64_t>(task.test.size()), kPromptTokens, run.config.model.context / 2});
  return {task.test.begin(), task.test.begin() + length};
}

// A canvas of the context: given tokens, then [MASK].
Ids canvas(const Run& run, const Ids& given) {
  Ids ids = given;
  ids.resize(static_cast<std::size_t>(run.config.model.context), Tokenizer::kMask);
  return ids;
}

// A passage of the test split with blanks.
Ids passage(const Run& run, const WritingTask& task) {
  Ids ids = canvas(run, {});
  const std::size_t known = std::min(ids.size(), task.test.size());
  for (std::size_t i = 0; i < known; ++i) {
    const bool blank = static_cast<std::int64_t>(i) / kBlankRun % 3 == 2;
    if (!blank) ids[i] = task.test[i];
  }
  return ids;
}

// n texts of the context's length in a manner, all from `start`; AR goes on from what is given.
SampleResult write(Run& run, const Manner& manner, const Ids& start, std::int64_t n,
                   std::uint64_t seed, const Watch& watch = {}) {
  const std::vector<std::uint8_t> excluded = run.tokenizer.excluded();
  DrawOptions draw;
  draw.seed = seed;
  draw.temperature = manner.temperature;
  if (run.config.model.objective == ObjectiveKind::ar) {
    const auto end = std::find(start.begin(), start.end(), Tokenizer::kMask);
    Ids prompt{Tokenizer::kStart};
    prompt.insert(prompt.end(), start.begin(), end);
    return generate_ar(*run.network, n, prompt, start.end() - end, excluded, draw, watch);
  }
  SampleOptions options;
  options.strategy = manner.strategy;
  options.steps = manner.steps;
  options.draw = draw;
  Ids sequences;
  for (std::int64_t i = 0; i < n; ++i)
    sequences.insert(sequences.end(), start.begin(), start.end());
  return generate_llada(*run.network, std::move(sequences), run.config.model.context, excluded,
                        options, watch);
}

Json described(const Run& run, const std::string& id, const Manner& manner,
               const std::string& prompt) {
  return {{"title", manner.title},
          {"model", name_of(run.config.model.objective)},
          {"run", id},
          {"strategy", manner.strategy.empty() ? Json() : Json(manner.strategy)},
          {"steps", manner.steps},
          {"temperature", manner.temperature},
          {"prompt", prompt}};
}

Json generation(Run& run, const std::string& id, const Manner& manner, const Ids& start,
                const std::string& prompt, const WritingTask& task) {
  Ids first = start;
  if (run.config.model.objective == ObjectiveKind::ar) {
    first.insert(first.begin(), Tokenizer::kStart);
  }
  Recording recording(first, 1);
  write(run, manner, start, 1, task.seed,
        [&recording](const StepReport& report) { recording.add(report); });
  Json json = described(run, id, manner, prompt);
  json["length"] = start.size();
  json["frames"] = recording.frames(run.tokenizer, 0);
  return json;
}

}  // namespace

Json sample_rows(Run& run, const std::string& id, const WritingTask& task) {
  Json list = Json::array();
  for (const Ids& prompt : {Ids{}, prompt_of(run, task)}) {
    for (const Manner& manner : manners(run)) {
      const SampleResult result = write(run, manner, canvas(run, prompt), task.texts, task.seed);
      const std::size_t T = result.ids.size() / static_cast<std::size_t>(task.texts);
      Json json = described(run, id, manner, run.tokenizer.decode(prompt));
      json["seed"] = task.seed;
      json["texts"] = Json::array();
      for (std::int64_t i = 0; i < task.texts; ++i) {
        Ids ids(result.ids.begin() + static_cast<std::ptrdiff_t>(i * static_cast<std::int64_t>(T)),
                result.ids.begin() +
                    static_cast<std::ptrdiff_t>((i + 1) * static_cast<std::int64_t>(T)));
        std::erase(ids, Tokenizer::kStart);
        json["texts"].push_back(run.tokenizer.decode(ids));
      }
      list.push_back(json);
    }
  }
  return list;
}

Json viewer_rows(Run& run, const std::string& id, const WritingTask& task) {
  Json list = Json::array();
  const Ids prompt = prompt_of(run, task);
  for (const Manner& manner : manners(run)) {
    list.push_back(
        generation(run, id, manner, canvas(run, prompt), run.tokenizer.decode(prompt), task));
  }
  if (run.config.model.objective == ObjectiveKind::llada) {
    const Ids start = passage(run, task);
    Manner manner{"LLaDA fills blanks, most confident first", "low_confidence", 0, 1};
    manner.steps =
        std::max<std::int64_t>(1, std::count(start.begin(), start.end(), Tokenizer::kMask));
    list.push_back(generation(run, id, manner, start, with_blanks(run.tokenizer, start), task));
  }
  return list;
}

}  // namespace masque
