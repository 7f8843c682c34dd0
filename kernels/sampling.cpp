#include "kernels/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/philox.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A row's entries that may be drawn, by rising id; kept in each thread for its rows.
struct Candidates {
  std::vector<double> logits;  // less the largest
  std::vector<double> shares;  // exp of these: what probabilities at temperature 1 are shares of
  std::vector<double> mass;    // the same at the temperature; 0 once cut
  std::vector<std::int32_t> ranked;

  // False where a logit is NaN or +∞, or all are −∞.
  template <class Real>
  bool read(const Real* row, const std::vector<std::int32_t>& ids) {
    logits.resize(ids.size());
    double max = -kInfinity;
    bool nan = false;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      logits[i] = static_cast<double>(row[ids[i]]);
      nan |= std::isnan(logits[i]);
      max = std::max(max, logits[i]);
    }
    if (nan || !std::isfinite(max)) return false;
    for (double& logit : logits) logit -= max;
    return true;
  }

  // The first of the largest.
  std::int64_t argmax() const {
    return std::max_element(logits.begin(), logits.end()) - logits.begin();
  }

  void set_shares() {
    shares.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) shares[i] = std::exp(logits[i]);
  }
  double sum() const { return std::accumulate(shares.begin(), shares.end(), 0.0); }

  double confidence(Confidence kind, std::int64_t chosen, double sum) const {
    switch (kind) {
      case Confidence::drawn:
        return shares[chosen] / sum;
      case Confidence::max_prob:
        return 1 / sum;
      case Confidence::margin:
        return (1 - std::exp(second())) / sum;
      case Confidence::entropy:
        break;
    }
    double total = 0;  // Σ p log p = Σ p·logit − log Σ exp
    for (std::size_t i = 0; i < logits.size(); ++i) {
      total += logits[i] > -kInfinity ? shares[i] * logits[i] : 0;
    }
    return total / sum - std::log(sum);
  }

  // The largest logit but one; −∞ where there is one alone.
  double second() const {
    double first = -kInfinity, second = -kInfinity;
    for (const double logit : logits) {
      second = std::max(second, std::min(first, logit));
      first = std::max(first, logit);
    }
    return second;
  }

  void set_mass(double temperature) {
    if (temperature == 1) {
      mass = shares;
      return;
    }
    mass.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) mass[i] = std::exp(logits[i] / temperature);
  }

  // Cuts all but the top_k most probable, then all but the fewest of these with a share ≥ top_p of
  // their mass. Of equals the lower id stays.
  void cut(std::int64_t top_k, double top_p) {
    const std::int64_t count = static_cast<std::int64_t>(logits.size());
    const std::int64_t keep = top_k > 0 ? std::min(top_k, count) : count;
    if (keep == count && top_p >= 1) return;
    ranked.resize(logits.size());
    for (std::int64_t i = 0; i < count; ++i) ranked[i] = static_cast<std::int32_t>(i);
    std::partial_sort(ranked.begin(), ranked.begin() + keep, ranked.end(),
                      [this](std::int32_t a, std::int32_t b) {
                        return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
                      });
    double total = 0;
    for (std::int64_t r = 0; r < keep; ++r) total += mass[ranked[r]];
    double sum = 0;
    std::int64_t kept = 0;
    while (kept < keep && (kept == 0 || top_p >= 1 || sum < top_p * total)) {
      sum += mass[ranked[kept++]];
    }
    for (std::int64_t r = kept; r < count; ++r) mass[ranked[r]] = 0;
  }

  // The first entry whose cumulative share exceeds u, in (0, 1).
  std::int64_t draw(double u) const {
    double total = 0;
    for (const double m : mass) total += m;
    double sum = 0;
    std::int64_t last = 0;
    for (std::size_t i = 0; i < mass.size(); ++i) {
      if (mass[i] == 0) continue;
      last = static_cast<std::int64_t>(i);
      sum += mass[i];
      if (sum > u * total) break;
    }
    return last;
  }
};

}  // namespace

Error no_distribution(std::int64_t row, std::int64_t K) {
  return Error("sampling: the logits of row " + std::to_string(row) + " of " + std::to_string(K) +
               " hold NaN or +inf, or nothing that may be drawn; the weights may have diverged");
}

template <class Real>
void sample_tokens(On<Cpu, Real>, const SampleTokens<Real>& args) {
  const std::int64_t K = args.K, V = args.V;
  const std::uint32_t draw = args.draw_at != nullptr ? *args.draw_at : args.draw;
  std::vector<std::int32_t> ids;
  for (std::int64_t v = 0; v < V; ++v) {
    if (args.excluded == nullptr || !args.excluded[v]) ids.push_back(static_cast<std::int32_t>(v));
  }
  std::int64_t bad_row = K;
#pragma omp parallel for schedule(static) reduction(min : bad_row) if (K * V >= kParallelElements)
  for (std::int64_t k = 0; k < K; ++k) {
    if (args.wanted != nullptr && args.wanted[k] == 0) continue;
    thread_local Candidates candidates;
    if (!candidates.read(args.logits + k * V, ids)) {
      bad_row = std::min(bad_row, k);
      continue;
    }
    const bool told = args.probability != nullptr || args.confidence != nullptr;
    if (told || args.temperature == 1) candidates.set_shares();
    std::int64_t chosen = 0;
    if (args.temperature == 0) {
      chosen = candidates.argmax();
    } else {
      candidates.set_mass(args.temperature);
      candidates.cut(args.top_k, args.top_p);
      chosen =
          candidates.draw(uniform(philox_word(args.seed, args.stream, draw, args.draw_rows[k], 0)));
    }
    args.tokens[k] = ids[chosen];
    if (!told) continue;
    const double sum = candidates.sum();
    if (args.probability != nullptr) {
      args.probability[k] = candidates.confidence(Confidence::drawn, chosen, sum);
    }
    if (args.confidence != nullptr) {
      args.confidence[k] = candidates.confidence(args.kind, chosen, sum);
    }
  }
  if (bad_row < K) throw no_distribution(bad_row, K);
}

template void sample_tokens(On<Cpu, float>, const SampleTokens<float>&);
template void sample_tokens(On<Cpu, bf16>, const SampleTokens<bf16>&);
template void sample_tokens(On<Cpu, double>, const SampleTokens<double>&);

}  // namespace masque
