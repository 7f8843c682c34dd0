#!/usr/bin/env bash
# check_levels.sh BUILD: the objects of an instruction set above the default export nothing that the
# linker could take for the portable program's. What is weak (inline functions, templates) must carry
# the level in its name, so that only that level calls it. For optimised builds: others leave
# functions of the standard library that are otherwise inlined.
set -euo pipefail

build=$1
levels=0
bad=0
for folder in "$build"/CMakeFiles/masque_kernels_*.dir; do
  level=${folder##*/masque_kernels_}
  level=${level%.dir}
  if [ "$level" = portable ]; then continue; fi
  levels=$((levels + 1))
  leaks=$(find "$folder" -name '*.o' -exec nm -A --defined-only {} + \
    | grep -E ' [A-Zuv] ' \
    | grep -v -E "masque[0-9]+${level}(_helpers)?[0-9]| DW\.ref\.__gxx_personality_v0$" || true)
  if [ -n "$leaks" ]; then
    bad=1
    echo "$level: symbols without the level in their name:"
    awk '{print "  " $NF}' <<< "$leaks" | sort -u | c++filt
  fi
done
if [ $levels = 0 ]; then
  echo "no object of a level under $build"
  exit 1
fi
[ $bad = 0 ] && echo "$levels levels, no symbol of theirs without the level's name"
