#!/usr/bin/env bash
# The CPU path, the thread that writes checkpoints, locks and signals under ThreadSanitizer. OpenMP's
# barriers and tasks are told to it by archer, which comes with Debian's libomp-14-dev. Ends with
# Catch2's count of the tests; fails where one fails, or where threads race. [slow] tests are left out.
#   tests/tsan.sh [TESTS]     Catch2's names and tags; default: those of masque-race-tests, in
#                             tests/CMakeLists.txt
#   BUILD=FOLDER              default build/tsan
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build/tsan}
llvm=/usr/lib/llvm-14/lib
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=clang++-14 \
  -DCMAKE_CXX_FLAGS=-fsanitize=thread "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1 -DNDEBUG" \
  -DMASQUE_LEVELS=avx2 > /dev/null
cmake --build "$build" -j "${JOBS:-$(nproc)}" --target masque-race-tests

# The runtime itself is not instrumented, and what it does between threads archer tells.
export OMP_TOOL_LIBRARIES=$llvm/libarcher.so OMP_NUM_THREADS=${OMP_NUM_THREADS:-4} GOMP_SPINCOUNT=1000
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=0 exitcode=66 ${TSAN_OPTIONS:-}"
export ARCHER_OPTIONS=verbose=1
log=$build/tsan.log
"$build/tests/masque-race-tests" "${1:-[cpu]~[slow]}" 2>&1 | tee "$log" && code=0 || code=1
if ! grep -q 'Archer detected OpenMP application with TSan' "$log"; then
  echo "archer was not at work: it wants libomp5-14 and libomp-14-dev (Debian)"
  exit 1
fi
exit $code
