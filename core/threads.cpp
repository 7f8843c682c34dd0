#include "core/threads.h"

#include <fmt/format.h>
#include <omp.h>

#include <exception>

#include "kernels/backend.h"

namespace masque {

void set_threads(int threads) {
  if (threads < 0) throw InputError(fmt::format("--threads {}: must be 0 or more", threads));
  if (threads > 0) omp_set_num_threads(threads);
}

int max_threads() {
  return omp_get_max_threads();
}

void share_out(std::int64_t count, const std::function<void(std::int64_t i, int thread)>& run) {
  if (max_threads() == 1 || count < max_threads()) {
    for (std::int64_t i = 0; i < count; ++i) run(i, 0);
    return;
  }
  std::exception_ptr thrown;
#pragma omp parallel
  {
    omp_set_num_threads(1);  // of regions within this one
#pragma omp for schedule(dynamic)
    for (std::int64_t i = 0; i < count; ++i) {
      try {
        run(i, omp_get_thread_num());
      } catch (...) {
#pragma omp critical(masque_share_out)
        if (thrown == nullptr) thrown = std::current_exception();
      }
    }
  }
  if (thrown != nullptr) std::rethrow_exception(thrown);
}

}  // namespace masque
