// chain: the exact likelihood of a masked diffusion model decoded a token at a time in an order σ,
// −Σ_k log p(x_σk | x_σ<k); mixture: that of a decoder that first draws one of K orders. Positions
// before scored_from are given. A window takes as many forwards an order as it scores tokens.
// Uria et al. 2014, arXiv:1310.1757 (orders, and the mixture of a few of them); Ou et al. 2024,
// arXiv:2406.03736 (the mean over all orders is the nelbo)
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "models/likelihood.h"

namespace masque {

// l2r, r2l; random: K orders, the same for all windows; and adaptive ones, which decode next, of
// the unknown positions, the one whose most probable token is most probable (max_prob), leads the
// second by most (margin), or whose entropy is least: ties to the lowest position. The choice sees
// no unknown token, so that what is multiplied is a distribution over texts.
enum class DecodingOrder { l2r, r2l, random, max_prob, margin, entropy };
std::vector<std::string> order_names();
std::string name_of(DecodingOrder order);
DecodingOrder order_of(const std::string& name);  // InputError naming those that exist

struct ChainOptions {
  DecodingOrder order = DecodingOrder::random;
  std::int64_t draws = 4;   // of random: K orders; else one order
  std::int64_t batch = 32;  // sequences a forward; no number depends on it on a CPU. Adaptive
                            // orders on a GPU: products of another shape may round otherwise, so
                            // that a distribution belongs to a batch
  std::uint64_t seed = 1;
  std::function<void(std::int64_t done, std::int64_t total)> progress;  // in windows; may be empty
};

struct ChainLikelihood {
  // Of one order: exact, ci95 of zero width. Of K random ones: their mean, and ci95 is Student's t
  // over the orders, for the mean over all orders.
  Likelihood mean;
  std::int64_t orders = 0;         // K
  std::vector<double> order_nats;  // (W,K)
};

// Windows are all of one length. excluded (V): 1 for tokens that never occur. InputError where
// draws of random is below 1.
ChainLikelihood chain_likelihood(Predictor& predictor, std::span<const std::int32_t> tokens,
                                 const std::vector<Window>& windows,
                                 std::span<const std::uint8_t> excluded,
                                 const ChainOptions& options);

// −log (1/K) Σ_k p(x | σ_k) of each window: exact too. `windows` are those of `chain`; seed: of the
// bootstrap.
Likelihood mixture_likelihood(const ChainLikelihood& chain, const std::vector<Window>& windows,
                              std::uint64_t seed);

// Σ over windows of the sequences that go through the network.
std::int64_t chain_forwards(const std::vector<Window>& windows, std::int64_t orders);

}  // namespace masque
