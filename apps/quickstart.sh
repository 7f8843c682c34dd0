#!/usr/bin/env bash
# From a fresh clone to two trained models: installs Debian packages where missing, builds, gets the
# data, trains LLaDA and the autoregressive (AR) baseline at the preset tiny, evaluates both on the
# same test tokens and samples from both. Some minutes on two cores. Nothing that exists is
# overwritten: a second time the runs get the next free number.
#   MASQUE_PACKAGES=no   install nothing
set -euo pipefail
cd "$(dirname "$0")/.."
source apps/setup.sh

prompt="ROMEO:"
template="ROMEO:
What ________ is this man, that comes so ____ to my door?"
heading() { printf '\n== %s\n' "$1"; }
masque() { "build/$preset/apps/masque" "$@"; }

heading "packages"
install_packages "${build_packages[@]}"

start=$SECONDS
heading "build"
preset=cpu
options=()
if nvidia-smi -L > /dev/null 2>&1; then
  if command -v nvcc > /dev/null; then
    preset=cuda
    options=(-DCMAKE_CUDA_ARCHITECTURES=native)
  else
    echo "An NVIDIA GPU is here, but no nvcc: building for the CPU. With the CUDA Toolkit it would be used."
  fi
fi
# An existing build keeps its options; a new one leaves out the tests, which need more packages.
if [ -f "build/$preset/CMakeCache.txt" ]; then options=(); else options+=(-DMASQUE_TESTS=OFF); fi
mkdir -p build
cmake --preset "$preset" "${options[@]}" > build/quickstart-configure.log \
  || { cat build/quickstart-configure.log >&2; fail "cmake failed: see above"; }
cmake --build --preset "$preset" --target masque

heading "data"
find_text() {
  local folder
  for folder in "${MASQUE_DATA_DIR:-}" data ../shared/data; do
    if [ -n "$folder" ] && [ -f "$folder/$1" ]; then
      echo "$folder/$1"
      return
    fi
  done
}
data=data/tinyshakespeare.txt
if ! masque data fetch tinyshakespeare; then
  data=$(find_text tinyshakespeare.txt)
  if [ -n "$data" ]; then
    echo "No download: using $data, which was here."
  else
    data=data/synth.txt
    echo "No download and no tinyshakespeare.txt here: training on SYNTHETIC text instead, $data."
    echo "Numbers will not be those of the README."
    [ -f "$data" ] || masque data synth "$data" --chars 1000000 --seed 1
    prompt=$(grep -m 1 . "$data" | cut -c 1-6)
    passage=$(head -c 64 "$data")
    template=${passage:0:20}________${passage:28}
  fi
fi

# Both runs get the first suffix that neither has taken.
suffix=
number=2
while [ -e "runs/quickstart-llada$suffix" ] || [ -e "runs/quickstart-ar$suffix" ]; do
  suffix=-$number
  number=$((number + 1))
done
llada=runs/quickstart-llada$suffix
ar=runs/quickstart-ar$suffix
if [ -n "$suffix" ]; then echo "Earlier quickstart runs stay; these are $llada and $ar."; fi

heading "train LLaDA, a masked diffusion model: $llada"
masque train "$llada" --objective llada --data "$data" --preset tiny
heading "train AR, left to right: $ar"
masque train "$ar" --objective ar --data "$data" --preset tiny

heading "evaluate both on the same test tokens"
llada_json=$(masque eval "$llada" --data "$data" --split test --json)
ar_json=$(masque eval "$ar" --data "$data" --split test --json)

field() { sed -n "s/.*\"$2\":\\(-\\{0,1\\}[0-9][0-9.e+-]*\\).*/\\1/p" <<< "$1"; }
interval() { sed -n "s/.*\"$2\":\\[\\([0-9.e+-]*\\),\\([0-9.e+-]*\\)\\].*/\\1 \\2/p" <<< "$1"; }
bits() { awk -v nats="$1" 'BEGIN { printf "%.4f", nats / log(2) }'; }
row() {  # name, bound, nats, note
  LC_ALL=C printf '  %-16s %s %8.4f %12s   %s\n' "$1" "$2" "$3" "$(bits "$3")" "$4"
}
printf '\n  %-16s   %8s %12s\n' model "nats" "bits/char"
row "unigram" " " "$(field "$ar_json" unigram)" "counts of characters"
read -r low high <<< "$(interval "$llada_json" ci95)"
row "LLaDA nelbo" "≤" "$(field "$llada_json" nats_per_token)" \
  "$(LC_ALL=C printf 'upper bound; 95%% of its estimate: %.4f to %.4f' "$low" "$high")"
row "bigram" " " "$(field "$ar_json" bigram)" "counts of pairs"
row "AR exact" "=" "$(field "$ar_json" nats_per_token)" "exact"
count() { field "$ar_json" "$1" | sed ':a; s/\B[0-9]\{3\}\>/,&/; ta'; }
printf '  the same %s test tokens for all, in %s windows, no context before a window\n' \
  "$(count tokens)" "$(count windows)"

heading "LLaDA goes on from \"$prompt\""
masque sample "$llada" --prompt "$prompt" --strategy ancestral
heading "AR goes on from \"$prompt\""
masque sample "$ar" --prompt "$prompt"
heading "LLaDA fills the blanks of"
printf '%s\n\n' "$template"
masque sample "$llada" --template "$template" --strategy ancestral

heading "done in $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
cat << EOF
Runs: $llada and $ar (checkpoints, metrics.jsonl, samples).
Go on:
  build/$preset/apps/masque train $llada --resume --steps 5000
  build/$preset/apps/masque eval $llada --data $data
  build/$preset/apps/masque compare runs/comparison --data $data --budget 15m
  build/$preset/apps/masque --help
EOF
