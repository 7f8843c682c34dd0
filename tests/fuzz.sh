#!/usr/bin/env bash
# Fuzzes every reader of files (tests/fuzz/readers.cpp), as many at once as there are cores, and
# prints a line each: executions, edges covered, inputs kept. Fails where one crashes, takes more
# memory than its file justifies (24 MiB at once), or does not end; the input lies in the corpus.
#   tests/fuzz.sh BUILD [SECONDS] [READER…]     BUILD: configured with -DMASQUE_FUZZ=ON; default 21 s
#                                               of each reader, and all of them
# BUILD/fuzz/READER keeps what was found, so that a longer run goes on from it.
set -euo pipefail
build=$1
seconds=${2:-21}
here=$(dirname "$0")
program=$build/tests/masque-fuzz
readers=("${@:3}")
if [ ${#readers[@]} -eq 0 ]; then mapfile -t readers < <(MASQUE_READER=list "$program"); fi

fuzz() {
  local reader=$1 program=$2 corpus=$3/fuzz/$1 seconds=$4 words=$5 log
  export MASQUE_READER=$reader
  log=$corpus.log
  mkdir -p "$corpus"
  MASQUE_FUZZ_SEEDS=$corpus "$program"
  if ! "$program" "-dict=$words" -max_len=32768 -malloc_limit_mb=24 -rss_limit_mb=4096 -timeout=20 \
    "-max_total_time=$seconds" -print_final_stats=1 "-artifact_prefix=$corpus." "$corpus" \
    > "$log" 2>&1; then
    grep -aE 'ERROR|SUMMARY|what\(\)|Test unit written' "$log" || tail -n 20 "$log"
    echo "$reader: failed, see $log"
    return 1
  fi
  printf '%-12s %9s executions %6s edges %6s inputs kept\n' "$reader" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
    "$(grep -aE '^#[0-9]+\sDONE' "$log" | sed 's/.* cov: \([0-9]*\).*/\1/')" "$(find "$corpus" -type f | wc -l)"
}
export -f fuzz

printf '%s\n' "${readers[@]}" | xargs -P "$(nproc)" -I{} \
  bash -c 'fuzz "$@"' fuzz {} "$program" "$build" "$seconds" "$here/fuzz/words.dict" && code=0 || code=1
if [ $code -eq 0 ]; then echo "${#readers[@]} passed, 0 failed"; fi
exit $code
