#!/usr/bin/env bash
# Which lines of core, kernels and models the tests run: a line a folder and the whole; fails under 90 %.
# Clang's own coverage, of the CPU path; [slow] tests are left out.
#   tests/coverage.sh [TESTS]     Catch2's names and tags; default ~[slow]
#   BUILD=FOLDER                  default build/coverage, where coverage.txt names every file
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build/coverage}
least=90

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=clang++-14 \
  "-DCMAKE_CXX_FLAGS=-fprofile-instr-generate -fcoverage-mapping" \
  "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -DNDEBUG" -DMASQUE_LEVELS=avx2 > /dev/null
cmake --build "$build" -j "${JOBS:-$(nproc)}" --target masque-tests

# One file a program, which its runs share.
rm -rf "$build/profiles"
export LLVM_PROFILE_FILE=$PWD/$build/profiles/%m.profraw GOMP_SPINCOUNT=10000
"$build/tests/masque-tests" "${1:-~[slow]}" || echo "some tests failed; what they ran counts"
llvm-profdata-14 merge -o "$build/profile" "$build"/profiles/*.profraw
llvm-cov-14 report "$build/tests/masque-tests" -object "$build/apps/masque" \
  "-instr-profile=$build/profile" core kernels models > "$build/coverage.txt"

# Columns of llvm-cov: name, regions 3, functions 3, lines, lines missed, …
awk -v least=$least '
  $1 ~ /\.(cpp|cu|h|cuh)$/ {
    folder = $1; sub(/^.*(^|\/)core\/.*/, "core", folder); sub(/^.*kernels\/.*/, "kernels", folder)
    sub(/^.*models\/.*/, "models", folder)
    lines[folder] += $8; missed[folder] += $9; lines["all"] += $8; missed["all"] += $9
  }
  function print_share(name) {
    printf "%-8s %6d lines %6d run %6.1f %%\n", name, lines[name], lines[name] - missed[name],
      100 * (lines[name] - missed[name]) / lines[name]
  }
  END {
    print_share("core"); print_share("kernels"); print_share("models"); print_share("all")
    exit 100 * (lines["all"] - missed["all"]) < least * lines["all"]
  }' "$build/coverage.txt"
