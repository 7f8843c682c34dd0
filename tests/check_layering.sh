#!/usr/bin/env bash
# Fails on an include that goes up the layers kernels <- core <- models <- apps ("may be included
# by"), or that reaches into tests or bench from anywhere but those two.
#   tests/check_layering.sh [ROOT]     the tree to check, default this one
# Without ROOT it first proves on a small wrong tree that it can fail.
set -euo pipefail

# layer -> what it may include
declare -A allowed=(
  [kernels]="kernels"
  [core]="kernels core"
  [models]="kernels core models"
  [apps]="kernels core models apps"
  [bench]="kernels core models apps bench tests"
  [tests]="kernels core models apps tests"
)

# Prints the offending lines of the tree at $1; fails where there are some.
check_tree() {
  local root=$1 layer line included found=0
  for layer in kernels core models apps bench tests; do
    [ -d "$root/$layer" ] || continue
    while IFS= read -r line; do
      [[ $line =~ include[[:space:]]*[\"\<]([^\"\>]*) ]]
      included=${BASH_REMATCH[1]}
      case $included in
        kernels/* | core/* | models/* | apps/* | tests/* | bench/*)
          if [[ " ${allowed[$layer]} " != *" ${included%%/*} "* ]]; then
            echo "${line#"$root"/}: $layer must not include ${included%%/*}"
            found=1
          fi
          ;;
        ../* | ./*)
          echo "${line#"$root"/}: name the file from the root of the repository"
          found=1
          ;;
      esac
    done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' \
      --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' "$root/$layer")
  done
  return $found
}

# The wrong tree $1 must fail, naming $2.
expect_failure() {
  local output
  if output=$(check_tree "$1"); then
    echo "check_layering: missed a back edge: $2" >&2
    exit 1
  fi
  if [[ $output != *"$2"* ]]; then
    echo "check_layering: expected \"$2\", got: $output" >&2
    exit 1
  fi
}

self_test() {
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  mkdir -p "$tree"/{kernels,core,models,apps,tests,bench}
  echo '#include "core/tensor.h"' > "$tree/models/good.h"
  echo '#include <vector>' > "$tree/kernels/good.h"
  echo '#include "tests/support/op_case.h"' > "$tree/bench/good.cpp"
  check_tree "$tree" > /dev/null || { echo "check_layering: refused a good tree" >&2; exit 1; }

  echo '#include "core/tensor.h"' > "$tree/kernels/bad.h"
  expect_failure "$tree" 'kernels/bad.h:1:#include "core/tensor.h": kernels must not include core'
  rm "$tree/kernels/bad.h"
  echo '  #  include <tests/support/op_case.h>' > "$tree/apps/bad.cu"
  expect_failure "$tree" 'apps must not include tests'
  rm "$tree/apps/bad.cu"
  echo '#include "../core/tensor.h"' > "$tree/models/bad.cpp"
  expect_failure "$tree" 'from the root of the repository'
}

if [ $# -eq 0 ]; then self_test; fi
if check_tree "${1:-$(cd "$(dirname "$0")/.." && pwd)}"; then
  echo "include layering: clean"
else
  exit 1
fi
