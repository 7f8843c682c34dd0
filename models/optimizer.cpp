#include "models/optimizer.h"

#include "core/out_of_memory.h"
#include "kernels/adamw.h"
#include "kernels/global_norm.h"

namespace masque {
namespace {

constexpr double kEps = 1e-8;

}  // namespace

Optimizer::Optimizer(ParameterStore& parameters, const TrainingConfig& config)
    : parameters_(parameters), config_(config) {
  const Device& device = parameters.device();
  const std::size_t bytes = bytes_of(parameters.arena_count(), param_dtype(device));
  m_ = Memory(device, bytes, "AdamW's first moments", kSmallerModel);
  v_ = Memory(device, bytes, "AdamW's second moments", kSmallerModel);
  if (config.ema > 0) {
    ema_ = Memory(device, bytes, "average of the weights", "leave it out (ema=0)");
  }
}

void Optimizer::update(StepState* state, std::int64_t* skipped) {
  std::visit(
      [&](auto on) {
        using Real = typename decltype(on)::real;
        using Param = param_t<Real>;
        const Param* grad = static_cast<Param*>(parameters_.grads());
        global_norm(on, {.state = state,
                         .skipped = skipped,
                         .grad = grad,
                         .clip = config_.clip,
                         .n = parameters_.arena_count()});
        adamw(on, {.master = static_cast<Param*>(parameters_.masters()),
                   .compute = static_cast<Real*>(parameters_.computes()),
                   .m = reinterpret_cast<Param*>(m_.data()),
                   .v = reinterpret_cast<Param*>(v_.data()),
                   .ema = reinterpret_cast<Param*>(ema_.data()),
                   .grad = grad,
                   .state = state,
                   .beta1 = config_.beta1,
                   .beta2 = config_.beta2,
                   .eps = kEps,
                   .decay = config_.weight_decay,
                   .ema_decay = config_.ema,
                   .n = parameters_.arena_count(),
                   .n_decay = parameters_.matrix_count()});
      },
      parameters_.device());
}

std::map<std::string, void*> Optimizer::arenas() const {
  std::map<std::string, void*> result{{"m", m_.data()}, {"v", v_.data()}};
  if (ema_.data() != nullptr) result["ema"] = ema_.data();
  return result;
}

void Optimizer::start_ema() {
  copy_on_device(parameters_.device(), ema_.data(), parameters_.masters(), ema_.size());
}

}  // namespace masque
