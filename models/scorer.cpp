#include "models/scorer.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/out_of_memory.h"
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

std::span<const double> Scorer::logits(std::size_t question) const {
  const auto V = static_cast<std::size_t>(predictor_.vocab_size());
  return std::span(logits_).subspan(question * V, V);
}

void Scorer::run(std::int64_t sequences, std::int64_t positions) {
  const std::size_t N = rows_.size();
  const auto V = static_cast<std::size_t>(predictor_.vocab_size());
  const auto T = static_cast<std::size_t>(T_);
  while (N > 0 && std::ssize(ids_) < sequences * T_) {
    const std::size_t end = ids_.size();
    ids_.resize(end + T);
    std::copy_n(ids_.begin(), T, ids_.begin() + static_cast<std::ptrdiff_t>(end));
  }
  while (N > 0 && std::ssize(rows_) < positions) rows_.push_back(rows_[rows_.size() - N]);
  weights_.assign(N, 1);
  taking_memory("logits of a forward", rows_.size() * V * sizeof(double), "lower --batch",
                [&] { logits_.resize(rows_.size() * V); });
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
  if (std::isnan(sum)) {
    throw NotFinite(
        "likelihood: the model's logits hold NaN: its weights have diverged; an earlier checkpoint "
        "may be good");
  }

  ids_.clear();
  rows_.clear();
  targets_.clear();
}

}  // namespace masque
