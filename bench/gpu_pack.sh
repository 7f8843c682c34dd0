#!/usr/bin/env bash
# Builds what bench/gpu_check.sh runs and puts it into a folder, for a GPU machine that has none of
# masque's packages: the preset gpu-check, stripped, with the shared libraries
# that such a machine may lack, the golden vectors and, where it is found, TinyShakespeare.
#   bench/gpu_pack.sh DIR
#   JOBS=N               jobs at once, default one a core
# On that machine, in a checkout:  bench/gpu_check.sh SECTION --from DIR --out OUT
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: bench/gpu_pack.sh DIR" >&2
  exit 2
fi
mkdir -p "$1"
pack=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
limit_mib=64
build=build/gpu-check

if command -v ccache > /dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache CMAKE_CUDA_COMPILER_LAUNCHER=ccache
fi
mkdir -p build/logs
log=build/logs/gpu-pack.log
echo "building (preset gpu-check); the compiler's words: $log"
{
  cmake --preset gpu-check
  cmake --build --preset gpu-check -j "${JOBS:-$(nproc)}" --target masque masque-bench masque-gpu-tests
} > "$log" 2>&1 || {
  grep -E "error|FAILED|CMake Error" "$log" | head -n 20 >&2
  echo "gpu_pack.sh: the build failed: see $log" >&2
  exit 1
}

rm -rf "$pack/bin" "$pack/lib" "$pack/golden" "$pack/data"
mkdir -p "$pack/bin" "$pack/lib" "$pack/golden"
for program in apps/masque bench/masque-bench tests/masque-gpu-tests; do
  strip -o "$pack/bin/$(basename $program)" "$build/$program"
done
# A GPU machine has its driver, the C and C++ libraries, OpenMP's and cublasLt, which is too large.
there='^(linux-vdso|ld-linux-x86-64|libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|libgomp|libcuda|libcublasLt)\.so'
for program in "$pack"/bin/*; do ldd "$program"; done | awk '$2 == "=>" { print $1, $3 }' | sort -u \
  | while read -r name path; do
    if [[ $name =~ $there ]]; then continue; fi
    cp -L "$path" "$pack/lib/$name"
  done
cp tests/gpu/golden/*.txt "$pack/golden/"
git rev-parse --short=12 HEAD > "$pack/commit.txt"
for folder in "${MASQUE_DATA_DIR:-}" data ../shared/data; do
  if [ -n "$folder" ] && [ -f "$folder/tinyshakespeare.txt" ]; then
    mkdir -p "$pack/data"
    cp "$folder/tinyshakespeare.txt" "$pack/data/"
    break
  fi
done
[ -f "$pack/data/tinyshakespeare.txt" ] || echo "no tinyshakespeare.txt here: the section train will need --data"

(cd "$pack" && find bin lib golden data -type f -exec du -h {} + 2> /dev/null || true)
mib=$(du -sm "$pack" | cut -f 1)
echo "$pack: $mib MiB"
if [ "$mib" -gt $limit_mib ]; then
  echo "gpu_pack.sh: more than $limit_mib MiB" >&2
  exit 1
fi
