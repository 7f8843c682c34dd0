#!/usr/bin/env bash
# The whole test suite, from nothing: installs what it needs, builds, tests, and ends with what was
# skipped and why, and one line "N passed, N failed, N skipped". Logs stay in build/logs.
#   MASQUE_PACKAGES=no     install nothing
#   MASQUE_TIDY=all        clang-tidy over every file, not the fixed part
#   MASQUE_FUZZ_SECONDS=N  of each reader of files, default 21
#   JOBS=N                 jobs at once, default one a core
set -euo pipefail
cd "$(dirname "$0")/.."
source apps/setup.sh

jobs=${JOBS:-$(nproc)}
fuzz_seconds=${MASQUE_FUZZ_SECONDS:-21}
logs=build/logs
skipped=()
mkdir -p "$logs"
: > "$logs/passed"
: > "$logs/failed"

clock() { printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60)); }
heading() { printf '\n== %s (at %s)\n' "$1" "$(clock)"; }
skip() { skipped+=("$1: $2"); }

# check NAME COMMAND…: runs it into a log, and notes how it ended in $logs/passed or $logs/failed;
# where it fails, shows what failed by Catch2's account, the log's end, and goes on.
check() {
  local name=$1 start=$SECONDS log
  shift
  log=$logs/${name//[^a-zA-Z0-9]/-}.log
  if "$@" > "$log" 2>&1; then
    echo "$name" >> "$logs/passed"
    printf 'PASS  %-34s %4d s' "$name" $((SECONDS - start))
    # What Catch2, or a program's last line, says of itself.
    printf '   %s\n' "$(grep -aohE 'All tests passed \(.*\)|[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)"
    return 0
  fi
  echo "$name: see $log" >> "$logs/failed"
  grep -a -B 8 -A 12 'FAILED:$' "$log" | head -n 120 || true
  tail -n 40 "$log"
  printf 'FAIL  %-34s %4d s\n' "$name" $((SECONDS - start))
  return 1
}

finish() {
  heading "skipped"
  if [ ${#skipped[@]} -eq 0 ]; then echo "nothing"; else printf '%s\n' "${skipped[@]}"; fi
  if [ -s "$logs/failed" ]; then
    heading "failed"
    cat "$logs/failed"
  fi
  printf '\n%d passed, %d failed, %d skipped in %s\n' "$(wc -l < "$logs/passed")" \
    "$(wc -l < "$logs/failed")" ${#skipped[@]} "$(clock)"
  [ ! -s "$logs/failed" ]
}

sources() {
  find . -path ./build -prune -o \( -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) -print \
    | sort
}

clang_format() { sources | xargs clang-format-14 --dry-run --Werror; }

# What preset emulate, built by clang 14, leaves out: the kernels of the other instruction sets, and
# the programs beside masque-tests. Read with the build's own flags, without making code.
clang_reads_the_rest() {
  cmake -S . -B build/clang -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON
  sed -n 's/^ *"command": "\(.*\)",\?$/\1/p' build/clang/compile_commands.json \
    | sed 's/\\\(["\]\)/\1/g' | grep -E 'MASQUE_LEVEL=(avx512|amx)|_main\.cpp$' > build/clang/commands
  [ -s build/clang/commands ]
  xargs -d '\n' -P "$jobs" -n 1 sh -c 'cd build/clang && eval "$0 -fsyntax-only"' \
    < build/clang/commands
}

# Of the whole tree clang-tidy takes minutes: this part holds the pointers and the file formats.
tidy_part='models/safetensors.cpp models/checkpoint.cpp models/dataset.cpp models/trainer.cpp
  core/arena.cpp core/device.cpp core/ops.cpp kernels/linear.cpp kernels/attention.cpp'
clang_tidy() {
  local files=$tidy_part
  if [ "${MASQUE_TIDY:-part}" = all ]; then files=$(sources | grep -E '\.(cpp|cu)$'); fi
  xargs -P "$jobs" -n 1 clang-tidy-14 --quiet -p build/emulate <<< "$files"
}

# In as many processes as there are jobs, the longest first; each one's output in one piece.
sanitized_tests() {
  printf '%s\n' '[cpu]~[slow]~[compare]~[sampler]~[likelihood]' '[#op_cases_gpu_test]' \
    '[gpu]~[#op_cases_gpu_test],[emulated]' \
    '[cpu]~[slow][compare],[cpu]~[slow][sampler],[cpu]~[slow][likelihood]' \
    | xargs -P "$jobs" -I{} sh -c \
      'said=$(build/emulate/tests/masque-tests -# "$1" 2>&1); code=$?; echo "$said"; exit $code' tests {}
}

parity() {
  rm -rf build/parity
  build/cpu/tests/masque-parity build/parity
  /usr/bin/python3 tests/parity_pytorch.py build/parity
}

heading "packages"
install_packages "${build_packages[@]}" catch2 clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 libomp-14-dev \
  libboost-context-dev libedit-dev python3 python3-torch
if command -v ccache > /dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
# Threads that wait leave the cores to the tests beside them.
export GOMP_SPINCOUNT=10000

heading "build, gcc (preset cpu)"
built=no
if check "configure" cmake --preset cpu -DMASQUE_TESTS=ON && check "build" cmake --build --preset cpu -j "$jobs"; then
  built=yes
fi

# As many at once as there are jobs: much of their time is spent waiting for programs and clocks.
heading "tests"
if [ $built = yes ]; then
  for name in $(ctest --preset cpu -N | sed -n 's/^ *Test *#[0-9]*: //p'); do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    { said=$(check "$name" ctest --preset cpu -V -R "^$name\$") || true; echo "$said"; } &
  done
  wait
else
  skip "tests" "the build failed"
fi

if ! /usr/bin/python3 -c 'import torch' 2> /dev/null; then
  skip "the PyTorch half of compare-pytorch-script" "/usr/bin/python3 has no torch"
fi

heading "parity with PyTorch"
if [ $built = no ]; then
  skip "parity with PyTorch" "the build failed"
elif ! /usr/bin/python3 -c 'import torch' 2> /dev/null; then
  skip "parity with PyTorch" "/usr/bin/python3 has no torch (Debian's python3-torch)"
else
  check "parity with PyTorch" parity || true
fi

heading "clang 14: CUDA on the emulator, and all else, under AddressSanitizer and UBSan (preset emulate)"
check "clang-format" clang_format || true
check "clang reads the rest" clang_reads_the_rest || true
if check "configure emulate" cmake --preset emulate -DCMAKE_CXX_COMPILER=clang++-14 -DMASQUE_FUZZ=ON \
  && check "build emulate" cmake --build --preset emulate -j "$jobs" --target masque-tests; then
  check "tests under sanitizers" sanitized_tests || true
  check "fuzzed readers" tests/fuzz.sh build/emulate "$fuzz_seconds" || true
  check "clang-tidy" clang_tidy || true
fi
if [ "${MASQUE_TIDY:-part}" != all ]; then
  skip "clang-tidy of the other files" "takes minutes; MASQUE_TIDY=all runs it"
fi
skip "[slow] tests under sanitizers" "they ran without; here they would take many minutes"

# What knows of nvcc: the rest is the same code on every backend, compiled twice above.
heading "CUDA by nvcc: kernels and core, linked (preset cuda, hardly optimised)"
cuda_built=no
if command -v nvcc > /dev/null; then
  if command -v ccache > /dev/null; then export CMAKE_CUDA_COMPILER_LAUNCHER=ccache; fi
  cuda_flags=-O3
  # Kernels in less than half the time, where nvcc knows how (since CUDA 13 at least).
  if [[ $(nvcc --help) == *--Ofast-compile* ]]; then cuda_flags+=" -Ofc=max"; fi
  if check "configure cuda" cmake --preset cuda -B build/nvcc -DCMAKE_BUILD_TYPE=Debug -DMASQUE_LEVELS= \
    -DCMAKE_CXX_FLAGS_DEBUG=-O0 "-DCMAKE_CUDA_FLAGS_DEBUG=$cuda_flags"; then
    if check "build cuda" cmake --build build/nvcc -j "$jobs" --target masque-cuda-link; then
      cuda_built=yes
    fi
  fi
else
  skip "CUDA by nvcc" "no nvcc here (CUDA Toolkit)"
fi
if ! nvidia-smi -L > /dev/null 2>&1; then
  skip "[gpu] tests on a GPU" "no NVIDIA GPU here; they ran on the emulator"
elif [ $cuda_built = yes ] \
  && check "build GPU tests" cmake --build build/nvcc -j "$jobs" --target masque-gpu-tests; then
  check "CUDA on the GPU" build/nvcc/tests/masque-gpu-tests '[gpu]' || true
fi
if ! ls tests/gpu/golden/*.txt | grep -qv '/emulated.txt$'; then
  skip "golden vectors of a GPU" "none recorded yet: bench/gpu_check.sh correctness does on one"
fi

finish
