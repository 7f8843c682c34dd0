#!/usr/bin/env bash
# bench/gpu_check.sh without a GPU: programs that are played by shell scripts pass, fail, hang and
# are cut off, and the reports must say so. Needs python3.
set -euo pipefail
cd "$(dirname "$0")/.."
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
pack=$box/pack
mkdir -p "$pack/bin" "$pack/golden" "$pack/data"
echo 0123456789ab > "$pack/commit.txt"
echo "a text" > "$pack/data/tinyshakespeare.txt"
passed=0
failed=0

# expect NAME PYTHON: a condition on `report` (the section's JSON) and `status` (of each step).
expect() {
  if python3 - "$box/out/$section.json" "$2" << 'EOF'
import json, sys
report = json.load(open(sys.argv[1]))
status = {step["name"]: step["status"] for step in report["steps"]}
sys.exit(0 if eval(sys.argv[2]) else f"status: {status}")
EOF
  then passed=$((passed + 1)); else
    echo "FAIL: $section: $1"
    failed=$((failed + 1))
  fi
}

# check EXPECTED_EXIT ARGUMENTS…: runs a section.
check() {
  local wanted=$1 got=0
  shift
  section=$1
  rm -rf "$box/out"
  bench/gpu_check.sh "$@" --from "$pack" --out "$box/out" > "$box/printed" 2>&1 || got=$?
  if [ "$got" -eq "$wanted" ]; then passed=$((passed + 1)); else
    echo "FAIL: $*: exit $got, not $wanted"
    cat "$box/printed"
    failed=$((failed + 1))
  fi
}

printed() {  # TEXT: is in what the section printed
  if grep -qF -- "$1" "$box/printed"; then passed=$((passed + 1)); else
    echo "FAIL: $section prints no \"$1\""
    cat "$box/printed"
    failed=$((failed + 1))
  fi
}

cat > "$pack/bin/masque-gpu-tests" << 'EOF'
#!/usr/bin/env bash
case "$*" in
  *--list-test-names-only) printf '%s\n' "good, of [two] parts" bad none slow; exit 4 ;;
  "golden vectors: record"*) echo "# vectors" > "$MASQUE_GOLDEN_OUT" ;;
  good*) [ "$1" = 'good\, of \[two\] parts' ] && [ -d "$MASQUE_GOLDEN" ] ;;
  bad) echo "the numbers differ"; exit 42 ;;
  none) echo "No tests ran"; exit 0 ;;
  slow) exec sleep "${SLOW:-0}" ;;
esac
EOF
cat > "$pack/bin/sanitizer" << 'EOF'
#!/usr/bin/env bash
[[ "$*" == *racecheck* && "$*" == *golden* ]] && exit 9
exit 0
EOF
cat > "$pack/bin/masque-bench" << 'EOF'
#!/usr/bin/env bash
if [ "$2" = --list ]; then printf 'attention\ngelu\n'; exit; fi
if [ "$2" = "gelu " ] && [ "${GELU:-}" = mute ]; then echo "not JSON"; exit; fi
echo '{"results": [{"op": "'$2'", "shape": "s", "pass": "forward", "median_ms": 1.5, "gb_s": 100, "flops": 0,
  "of_copy": 0.5, "of_product": 0}]}'
EOF
cat > "$pack/bin/masque" << 'EOF'
#!/usr/bin/env bash
if [ "$1" = eval ]; then
  echo '{"bound": "exact", "nats_per_token": 1.25, "split": "test", "seconds": 2}'
  exit
fi
mkdir -p "$2/checkpoints/best"
echo "$*" >> "${CALLS:-/dev/null}"
printf '%s\n' '{"split": "train", "step": 10, "tokens_per_second": 1000}' \
  '{"split": "val", "step": 10, "loss": 1.5}' '{"split": "val", "step": 20, "loss": 1.4}' > "$2/metrics.jsonl"
EOF
chmod +x "$pack"/bin/*

check 1 correctness --sanitizer "$pack/bin/sanitizer"
expect "a passing test" 'status["good, of [two] parts"] == "passed" and status["slow"] == "passed"'
expect "a failing test" 'status["bad"] == "failed"'
expect "a name that no test has is a failure" 'status["none"] == "failed"'
expect "a race is found" 'status["racecheck: golden vectors: this device*"] == "failed"'
expect "the other tools run" 'sum(n.startswith("memcheck") and s == "passed" for n, s in status.items()) == 5'
expect "the commit" 'report["commit"] == "0123456789ab"'
printed "failed     bad"
printed "golden vectors: "

check 1 correctness --sanitizer "$box/none"
expect "no sanitizer is no pass" 'status["compute-sanitizer"] == "not begun"'

SLOW=60 check 1 correctness --seconds 12 --sanitizer "$pack/bin/sanitizer"
expect "a test that hangs is cut off" 'status["slow"] == "cut off"'
expect "what is left is not begun" 'status["memcheck: op cases once for compute-sanitizer"] == "not begun"'
expect "what ran before is kept" 'status["bad"] == "failed"'

# Killed in the middle: the report holds the steps before.
rm -rf "$box/out"
SLOW=60 bench/gpu_check.sh correctness --from "$pack" --out "$box/out" > /dev/null 2>&1 &
running=$!
for _ in $(seq 100); do
  if [ "$(grep -c '"status"' "$box/out/correctness.json" 2> /dev/null)" = 4 ]; then break; fi
  sleep 0.1
done
child=$(pgrep -P $running -x sleep || true)
kill -9 $running
wait $running 2> /dev/null || true
if [ -n "$child" ]; then kill "$child"; fi
section=correctness
expect "a killed run keeps its steps" 'status["bad"] == "failed" and len(status) == 4'

check 0 ops
expect "both types" 'set(status) == {"attention bf16", "gelu bf16", "attention f32", "gelu f32"}'
expect "numbers are kept" 'report["steps"][0]["result"]["results"][0]["of_copy"] == 0.5'
printed "50%"
GELU=mute check 1 ops
expect "a program that says no JSON has failed" 'status["gelu f32"] == "failed" and status["attention f32"] == "passed"'

CALLS=$box/calls check 0 train --steps 20 --set dropout=0
expect "trains three runs and evaluates them" 'len(status) == 6 and set(status.values()) == {"passed"}'
expect "the curve is kept" 'report["steps"][0]["result"]["best_val"] == 1.4'
printed "1.2500"
section="train's calls"
if [ "$(grep -c -- '--steps 20 .*dropout=0' "$box/calls")" = 3 ] && grep -q 'start_token=false' "$box/calls"; then
  passed=$((passed + 1))
else
  echo "FAIL: $section:"
  cat "$box/calls"
  failed=$((failed + 1))
fi

rm "$pack/bin/masque"
check 1 ops
printed "masque: missing"

# bench/gpu_resources.py on what a compiler said: a kernel of two architectures, which calls a function
# with a stack of its own; then one that spills.
section=gpu-resources
mkdir -p "$box/build" "$box/kernels"
touch "$box/kernels/x.cu"
cat > "$box/nvcc" << 'EOF'
#!/usr/bin/env bash
if [ "$1" = --version ]; then echo "Cuda compilation tools, release 13.0, V13.0.88"; exit; fi
[[ " $* " == *" -Xptxas=-v "* ]] || exit 1
for arch in sm_80 sm_90a; do
  cat >&2 << END
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN6masque12_GLOBAL__N_18x_kernelIfEEvPT_' for '$arch'
ptxas info    : Function properties for _ZN6masque12_GLOBAL__N_18x_kernelIfEEvPT_
    8 bytes stack frame, ${SPILL:-0} bytes spill stores, 0 bytes spill loads
ptxas info    : Function properties for _Z6helperv
    64 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 2048 bytes smem, 400 bytes cmem[0]
END
done
EOF
chmod +x "$box/nvcc"
cat > "$box/build/compile_commands.json" << EOF
[{"directory": "$box", "file": "$box/kernels/x.cu", "command": "$box/nvcc -c $box/kernels/x.cu -o x.o"},
 {"directory": "$box", "file": "$box/other/y.cu", "command": "false"}]
EOF
resources() {  # EXPECTED_EXIT ARGUMENTS…
  local got=0 wanted=$1
  shift
  python3 bench/gpu_resources.py "$box/build" "$box/table.md" "$@" > "$box/printed" 2>&1 || got=$?
  if [ "$got" -eq "$wanted" ]; then passed=$((passed + 1)); else
    echo "FAIL: $section: exit $got, not $wanted"
    failed=$((failed + 1))
  fi
}
resources 0
printed "1 kernels on sm_80, sm_90a"
cp "$box/table.md" "$box/printed"
printed '| x.cu | `x_kernel<float>` | 40 | 0 | 8 | 2048 | 40 | 0 | 8 | 2048 |'
printed "nvcc 13.0.88"
cat > "$box/log" << EOF
[1/2] Building CUDA object CMakeFiles/masque_kernels.dir/kernels/x.cu.o
$("$box/nvcc" -Xptxas=-v 2>&1)
[2/2] Building CXX object CMakeFiles/masque_kernels.dir/kernels/y.cpp.o
EOF
resources 0 --log "$box/log"
printed "1 kernels on sm_80, sm_90a"
echo "[1/1] Building CUDA object kernels/other.cu.o" > "$box/log"
resources 1 --log "$box/log"
printed "does not tell of x.cu"
SPILL=12 resources 1
printed "x.cu x_kernel<float>: 12 bytes on sm_80"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
