#!/usr/bin/env bash
# bench/compare_pytorch.py on a tiny model: it compares, and what differs, is too slow or is not in this
# version is said and not compared. Usage: compare_pytorch_test.sh BUILD. Exit status 77: no python3 here
# imports torch, and only what needs none was tested. PYTHON picks another.
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
passed=0
failed=0

python=${PYTHON:-}
for candidate in python3 /usr/bin/python3; do
  if [ -z "$python" ] && "$candidate" -c 'import torch' 2> /dev/null; then python=$candidate; fi
done

# compare EXPECTED_EXIT ARGUMENTS…: a run of $using (a build's folder).
using=$build
compare() {
  local wanted=$1 got=0
  shift
  run=$*
  rm -f "$box/report.json"
  "${python:-python3}" bench/compare_pytorch.py --build "$using" --out "$box/report.json" --presets tiny \
    --set batch=3 context=24 --threads 1 --rounds 2 --steps 2 --repeat 2 --decode-batch 2 --decode-steps 7 \
    --masque-dtypes f32 "$@" > "$box/printed" 2> "$box/progress" || got=$?
  if [ "$got" -eq "$wanted" ]; then passed=$((passed + 1)); else
    echo "FAIL: $run: exit $got, not $wanted"
    cat "$box/printed" "$box/progress"
    failed=$((failed + 1))
  fi
}

# expect NAME PYTHON: a condition on the report's `results`, on `rows`, (task, objective, program) → row, and
# on both objectives' rows of each(task, program).
expect() {
  if "${python:-python3}" - "$box/report.json" "$2" << 'PYTHON'
import json, sys
results = json.load(open(sys.argv[1]))["results"]
rows = {(r["task"], r["objective"], p["program"]): p for r in results for p in r["programs"]}
def each(task, program):
    return [rows[task, objective, program] for objective in ("llada", "ar")]
sys.exit(0 if eval(sys.argv[2]) else f"rows: {rows}")
PYTHON
  then passed=$((passed + 1)); else
    echo "FAIL: $run: $1"
    failed=$((failed + 1))
  fi
}

printed() {  # TEXT
  if grep -qF -- "$1" "$box/printed"; then passed=$((passed + 1)); else
    echo "FAIL: $run: prints no \"$1\""
    cat "$box/printed"
    failed=$((failed + 1))
  fi
}

compare 2 --tasks walk
compare 2 --build "$box"
# A torch that never comes: PyTorch is cut off, masque is timed all the same.
mkdir "$box/stub"
cat > "$box/stub/torch.py" << 'EOS'
import sys, time, types
if "peer_worker" in sys.argv[0]:
    time.sleep(60)
__version__ = "0"
backends = types.SimpleNamespace()
EOS
PYTHONPATH=$box/stub compare 1 --tasks train --objectives ar --ways eager --dtypes f32 --limit 10
expect "what is too slow is not compared" '"not done in 10 s" in rows["train", "ar", "torch eager f32"]["not_compared"]'
expect "masque is timed" 'rows["train", "ar", "masque f32"]["ratio"] == 1'
printed "nothing to compare masque with"

if [ -z "$python" ]; then
  echo "SKIPPED: no python3 here imports torch (Debian's python3-torch): nothing was compared with PyTorch"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && exit 77
  exit 1
fi

compare 0 --ways eager --dtypes f32,bf16
expect "all is compared" 'len(rows) == 12 and all(row["ratio"] > 0 for row in rows.values())'
expect "in two rounds" 'all(len(row["rounds_ms"]) == 2 for row in rows.values())'
expect "f32 trains the same" 'all(row["loss_gap"] <= 1e-4 for row in each("train", "torch eager f32"))'
expect "bf16 nearly" 'all(0 < row["loss_gap"] <= 0.02 for row in each("train", "torch eager bf16"))'
expect "f32 writes the same" 'all(row["agreement"] >= 0.99 for row in each("decode", "torch eager f32"))'
expect "the same size" 'len({row["parameters"] for p in ("masque", "torch eager") for row in each("train", p + " f32")}) == 1'
expect "the settings are used" 'all(r["config"]["model"]["context"] == 24 for r in results)'
expect "the batches are" '[r["batch"] for r in results] == [3, 3, 2, 2]'
expect "memory is told" 'all(row["peak_bytes"] > 2**20 for row in rows.values())'
printed "PyTorch's best is eager"

if "$python" -c 'import torch, sys; sys.exit(not hasattr(torch, "compile"))'; then
  compare 0 --tasks train --objectives llada --ways compile --dtypes f32
  expect "compiles" 'rows["train", "llada", "torch compile f32"]["ratio"] > 0'
else
  compare 1 --tasks decode --objectives ar --ways compile --dtypes f32
  expect "no torch.compile here" '"not in this version" in rows["decode", "ar", "torch compile f32"]["not_compared"]'
fi

# Programs that are wrong by a little.
mkdir -p "$box/wrong/bench" "$box/wrong/tests"
using=$box/wrong
cat > "$using/tests/masque-parity" << EOS
#!/usr/bin/env bash
"$build/tests/masque-parity" "\$@" && "$python" - "\$1"/*/expected.safetensors << 'PYTHON'
import json, struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
(length,) = struct.unpack("<Q", data[:8])
last = 8 + length + json.loads(data[8 : 8 + length])["losses"]["data_offsets"][1] - 4
data[last : last + 4] = struct.pack("<f", struct.unpack("<f", data[last : last + 4])[0] + 2e-4)
open(sys.argv[1], "wb").write(data)
PYTHON
EOS
cat > "$using/bench/masque-bench" << EOS
#!/usr/bin/env bash
"$build/bench/masque-bench" "\$@" | if [ "\$1" = decode ]; then sed -E 's/[0-9]+\]\]/0]]/'; else cat; fi
EOS
chmod +x "$using"/*/*
compare 1 --objectives ar --ways eager --dtypes f32
expect "another loss" '"losses differ" in rows["train", "ar", "torch eager f32"]["not_compared"]'
expect "another token" '"of its tokens are masque" in rows["decode", "ar", "torch eager f32"]["not_compared"]'
expect "no ratio where work differs" 'all("ratio" not in row for key, row in rows.items() if "torch" in key[2])'

echo "$passed passed, $failed failed (torch $("$python" -c 'import torch; print(torch.__version__)'))"
[ "$failed" -eq 0 ]
