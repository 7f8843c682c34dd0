#include "models/scorer.h"

#include <cmath>

#include "core/check.h"
#include "kernels/masked_cross_entropy.h"

namespace masque {

Scorer::Scorer(Predictor& predictor, std::span<const std::uint8_t> excluded, std::int64_t T)
    : predictor_(predictor), excluded_(excluded), T_(T) {
  CHECK(T <= predictor.context(), "likelihood: windows of {} exceed the model's context of {}", T,
        predictor.context());
}

std::span<std::int32_t> Scorer::add_sequence() {
  const auto T = static_cast<std::size_t>(T_);
  ids_.resize(ids_.size() + T);
  return std::span(ids_).last(T);
}

void Scorer::ask(std::int64_t i, std::int32_t target) {
  rows_.push_back(static_cast<std::int64_t>(ids_.size()) - T_ + i);
  targets_.push_back(target);
}

void Scorer::run() {
  const std::size_t N = rows_.size();
  const auto V = static_cast<std::size_t>(predictor_.vocab_size());
  weights_.assign(N, 1);
  logits_.resize(N * V);
  nll_.resize(N);
  correct_.resize(N);

  PredictorInput input;
  input.ids = ids_;
  input.B = static_cast<std::int64_t>(ids_.size()) / T_;
  input.T = T_;
  input.rows = rows_;
  predictor_.predict(input, logits_);

  double sum = 0;
  MaskedCrossEntropy<double> args{};
  args.loss = &sum;
  args.nll = nll_.data();
  args.correct = correct_.data();
  args.logits = logits_.data();
  args.targets = targets_.data();
  args.weights = weights_.data();
  args.excluded = excluded_.data();
  args.N = static_cast<std::int64_t>(N);
  args.V = static_cast<std::int64_t>(V);
  masked_cross_entropy(On<Cpu, double>{}, args);
  CHECK(!std::isnan(sum), "likelihood: the model's logits hold NaN");

  ids_.clear();
  rows_.clear();
  targets_.clear();
}

}  // namespace masque
