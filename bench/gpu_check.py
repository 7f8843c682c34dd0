#!/usr/bin/env python3
"""Checks and times masque on a machine with a GPU, a section at a time, each in under nine minutes.

    bench/gpu_check.sh correctness     every GPU test, compute-sanitizer, golden vectors
    bench/gpu_check.sh ops             every op against the card's bandwidth and products
    bench/gpu_check.sh peers           training steps against PyTorch
    bench/gpu_check.sh train           the preset baby to its end, both objectives, and nanoGPT's protocol

--from DIR runs what bench/gpu_pack.sh put there; without it the preset cuda is built first. Each section writes
OUT/SECTION.json anew after every step, so that a run that is cut off keeps what it had, and all that the programs said
into OUT/SECTION.log. The last it prints is a short table. Exit status 0: every step was run and passed.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 520  # of a section, by the wall; --seconds
PROGRAMS = ("masque", "masque-bench", "masque-gpu-tests")
LIBRARIES = ("/usr/local/cuda/lib64", "/usr/local/cuda/targets/x86_64-linux/lib", "/usr/local/cuda/lib")
SLACK = 5  # seconds; with less no step is begun


class Section:
    """A report that is written after every step."""

    def __init__(self, name, options, place):
        self.name, self.place, self.out = name, place, options.out
        self.deadline = time.monotonic() + options.seconds
        self.path, self.log = options.out / f"{name}.json", options.out / f"{name}.log"
        self.log.write_text("")
        self.report = {"section": name, "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                       "commit": place.commit, "gpu": gpu(), "steps": []}
        self.save()

    def left(self):
        return self.deadline - time.monotonic()

    def save(self):
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.report, indent=1) + "\n")
        part.replace(self.path)

    def run(self, name, command, limit=None, read=None, env=None):
        """One step: (passed, what `read` made of its output). It ends by itself, or at its limit, or the section's."""
        seconds = self.left() if limit is None else min(limit, self.left())
        step = {"name": name, "command": " ".join(str(part) for part in command)}
        self.report["steps"].append(step)
        if seconds < SLACK:
            step["status"] = "not begun"
            self.save()
            print(f"NOT BEGUN  {name}", flush=True)
            return False, None
        start, output = time.monotonic(), ""
        with self.log.open("a") as log, tempfile.TemporaryFile("w+") as stdout:
            log.write(f"\n== {name}\n$ {step['command']}\n")
            log.flush()
            process = subprocess.Popen([str(part) for part in command], stdout=stdout, stderr=log,
                                       env={**self.place.env, **(env or {})})
            try:
                step["exit"] = process.wait(seconds)
                step["status"] = "passed" if step["exit"] == 0 else "failed"
            except subprocess.TimeoutExpired:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                step["status"] = "cut off"
            stdout.seek(0)
            output = stdout.read()
            log.write(output)
        step["seconds"] = round(time.monotonic() - start, 2)
        result = None
        if read is not None:
            try:
                result = step["result"] = read(output)
            except (ValueError, KeyError, IndexError, OSError) as error:
                step["unread"] = f"{type(error).__name__}: {error}"
                if step["status"] == "passed":
                    step["status"] = "failed"
        self.save()
        print(f"{step['status'].upper():<10} {name}  {step['seconds']:.1f} s", flush=True)
        if step["status"] == "failed":
            print("\n".join((output or self.log.read_text()).splitlines()[-12:]), flush=True)
        return step["status"] == "passed", result

    def end(self):
        counts = {}
        for step in self.report["steps"]:
            counts[step["status"]] = counts.get(step["status"], 0) + 1
        print(f"\n{self.name}: " + ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
              + f"; {self.path}")
        return 0 if set(counts) == {"passed"} else 1


class Place:
    """Where the programs are, and what they need around them."""

    def __init__(self, options):
        self.env = dict(os.environ)
        folders = [f for f in LIBRARIES if os.path.isdir(f)]
        if options.pack:
            pack = options.pack.resolve()
            self.programs = {name: pack / "bin" / name for name in PROGRAMS}
            self.env.update(MASQUE_GOLDEN=str(pack / "golden"), MASQUE_PROGRAMS=str(pack / "bin"))
            self.data = pack / "data" / "tinyshakespeare.txt"
            self.commit = (pack / "commit.txt").read_text().strip() if (pack / "commit.txt").exists() else "unknown"
            folders.insert(0, str(pack / "lib"))
        else:
            build = build_here(options.section)
            self.programs = {"masque": build / "apps/masque", "masque-bench": build / "bench/masque-bench",
                             "masque-gpu-tests": build / "tests/masque-gpu-tests"}
            self.data = None
            self.commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True,
                                         text=True).stdout.strip() or "unknown"
        folders += cublas_of_python()
        before = self.env.get("LD_LIBRARY_PATH")
        self.env["LD_LIBRARY_PATH"] = ":".join(folders + ([before] if before else []))
        for name, path in self.programs.items():
            if not path.exists():
                sys.exit(f"{path}: missing; bench/gpu_pack.sh DIR makes the folder that --from wants")

    def __getitem__(self, program):
        return self.programs[program]


def build_here(section):
    build = ROOT / "build/cuda"
    print("building the preset cuda; --from DIR would run what bench/gpu_pack.sh built", flush=True)
    targets = {"correctness": ["masque-gpu-tests"], "train": ["masque"]}.get(section, ["masque-bench"])
    for command in (["cmake", "--preset", "cuda"],
                    ["cmake", "--build", "--preset", "cuda", "-j", str(os.cpu_count()), "--target", *targets]):
        if subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode != 0:
            sys.exit(f"{' '.join(command)}: failed")
    return build


def cublas_of_python():
    """Folders in which PyTorch's packages keep cublasLt, for a machine that has it nowhere else."""
    found = []
    for folder in sys.path:
        found += [str(path.parent) for path in pathlib.Path(folder or ".").glob("nvidia/*/lib/libcublasLt.so.13")]
    return found


def gpu():
    """Name, memory and driver as nvidia-smi says; nothing where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    if shutil.which(query[0]) is None:
        return None
    return subprocess.run(query, capture_output=True, text=True).stdout.strip() or None


# correctness

SANITIZERS = ("memcheck", "racecheck", "synccheck")
SANITIZED = ["op cases once for compute-sanitizer", "golden vectors: this device*", "GPU sampling*",
             "attention_decode*", "random_mask*"]


def test_names(program, env):
    done = subprocess.run([program, "[gpu]", "--list-test-names-only"], env=env, capture_output=True, text=True)
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if not names:  # Catch2 2 exits with the number of tests
        sys.exit(f"{program}: names no GPU test: {done.stderr.strip()[-600:]}")
    return names


def ran(output):
    """Catch2's last words; it also ends well where a name is no test's."""
    if "No tests ran" in output or "No test cases matched" in output:
        raise ValueError("no test has that name")
    return (output.strip().splitlines() or [""])[-1]


def filter_of(name):
    """A test's name as Catch2 reads it on the command line."""
    return re.sub(r"([,\[\]*\\])", r"\\\1", name)


def correctness(section, options):
    tests = section.place["masque-gpu-tests"]
    card = re.sub(r"[^A-Za-z0-9]+", "-", (section.report["gpu"] or "gpu").split(",")[0]).strip("-").lower()
    golden = section.out / f"golden-{card}.txt"
    section.run("record golden vectors", [tests, "golden vectors: record this device's"], 60, ran,
                env={"MASQUE_GOLDEN_OUT": str(golden)})
    # Each test in a process of its own: what one leaves broken breaks no other.
    for name in test_names(tests, section.place.env):
        section.run(name, [tests, filter_of(name)], 120, ran)
    sanitizer = options.sanitizer or shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not (os.path.exists(sanitizer)):
        section.report["steps"].append({"name": "compute-sanitizer", "status": "not begun", "command": sanitizer})
        section.save()
        print("NOT BEGUN  compute-sanitizer: not on this machine")
    else:
        for number, tool in enumerate(SANITIZERS):
            share = section.left() / (len(SANITIZERS) - number)
            end = time.monotonic() + share
            for name in SANITIZED:
                section.run(f"{tool}: {name}", [sanitizer, "--tool", tool, "--error-exitcode", "9", tests, name],
                            max(0, end - time.monotonic()), ran)
    slow = sorted((s for s in section.report["steps"] if "seconds" in s), key=lambda s: -s["seconds"])[:5]
    print("\nslowest: " + "; ".join(f"{s['name'][:48]} {s['seconds']:.0f} s" for s in slow))
    for step in section.report["steps"]:
        if step["status"] != "passed":
            print(f"{step['status']:<10} {step['name']}")
    if golden.exists():
        print(f"golden vectors: {golden}; to hold the emulator to them, put it into tests/gpu/golden/")


# ops


def op_names(bench, env):
    done = subprocess.run([bench, "op", "--list"], env=env, capture_output=True, text=True)
    if done.returncode != 0 or not done.stdout.split():
        sys.exit(f"{bench} op --list: {done.stderr.strip()}")
    return done.stdout.split()


def ops(section, options):
    bench = section.place["masque-bench"]
    names = options.ops.split(",") if options.ops else op_names(bench, section.place.env)
    for dtype in ("bf16", "f32"):
        for name in names:
            section.run(f"{name} {dtype}",
                        [bench, "op", f"{name} ", "--device", options.device, "--dtype", dtype, "--repeat",
                         options.repeat, "--json"], 120, json.loads)
    print(f"\n{'op':<22} {'shape':<38} {'dtype':<5} {'pass':<8} {'ms':>8} {'GB/s':>7} {'of copy':>8} {'of product':>10}")
    for step in section.report["steps"]:
        for row in (step.get("result") or {}).get("results", []):
            product = f"{100 * row['of_product']:.0f}%" if row["flops"] else ""
            print(f"{row['op']:<22} {row['shape'][:38]:<38} {step['name'].split()[-1]:<5} {row['pass']:<8} "
                  f"{row['median_ms']:8.4f} {row['gb_s']:7.0f} {100 * row['of_copy']:7.0f}% {product:>10}")


# peers


def peers(section, options):
    partial = section.out / "peers_results.json"
    partial.unlink(missing_ok=True)
    # Our libraries are for our program alone: PyTorch brings its own.
    bench = f"env LD_LIBRARY_PATH={section.place.env['LD_LIBRARY_PATH']} {section.place['masque-bench']}"
    command = [sys.executable, ROOT / "bench/peer_pytorch_gpu.py", "--masque-bench", bench, "--out", partial,
               "--device", options.device, "--limit", max(1, round(section.left() - 100))]
    for key in ("sizes", "objectives", "rounds", "bursts", "burst"):
        if getattr(options, key) is not None:
            command += [f"--{key}", getattr(options, key)]
    shown = []

    def read(output):
        shown.append(output)
        return json.loads(partial.read_text())

    section.run("peers", command, None, read, {"LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")})
    partial.unlink(missing_ok=True)
    print("".join(shown))


# train


def curve(run):
    """What metrics.jsonl says: the evaluations, and the median speed."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    speeds = [line["tokens_per_second"] for line in lines if line["split"] == "train"]
    val = [(line["step"], line["loss"]) for line in lines if line["split"] == "val"]
    return {"steps": max(line["step"] for line in lines), "tokens_per_second": statistics.median(speeds[1:] or speeds),
            "val": val, "best_val": min((loss for _, loss in val if loss is not None), default=None)}


NANOGPT = ["start_token=false", "train_fraction=0.9", "val_fraction=0.1", "eval_crops=true", "eval_windows=1280"]


def train(section, options):
    masque, data = section.place["masque"], options.data or section.place.data or "tinyshakespeare.txt"
    runs = pathlib.Path(tempfile.mkdtemp(prefix="gpu-check-"))
    device = ["--device", options.device, "--dtype", options.dtype]
    length = ["--steps", options.steps] if options.steps else []
    print(f"preset {options.preset}, {options.steps or 'all'} steps, runs in {runs}", flush=True)
    plans = [("llada", "llada", [], "test"), ("ar", "ar", [], "test"), ("ar, nanoGPT's protocol", "ar", NANOGPT, "val")]
    rows = []
    for name, objective, keys, split in plans:
        run = runs / re.sub(r"\W+", "-", name)
        settings = options.set + keys
        trained, told = section.run(
            f"train {name}", [masque, "train", run, "--objective", objective, "--data", data, "--preset",
                              options.preset, *length, *device, *(["--set", *settings] if settings else [])],
            None, lambda _: curve(run))
        if not (run / "checkpoints" / "best").exists():
            rows.append((name, told, None))
            continue
        batch = ["--batch", 256] if options.device == "cuda" else []
        _, likelihood = section.run(
            f"eval {name}", [masque, "eval", run, "--data", data, "--split", split, *batch, *device, "--json"], None,
            json.loads)
        rows.append((name, told, likelihood))
    shutil.rmtree(runs, ignore_errors=True)
    print(f"\n{'run':<24} {'steps':>6} {'tokens/s':>12} {'train s':>8} {'best val':>9} {'split':<5} {'nats':>8} {'eval s':>7}")
    for name, told, likelihood in rows:
        seconds = next((s.get("seconds", 0) for s in section.report["steps"] if s["name"] == f"train {name}"), 0)
        cells = [f"{name:<24}"]
        cells += [f"{told['steps']:6}", f"{told['tokens_per_second']:12,.0f}", f"{seconds:8.1f}",
                  f"{told['best_val']:9.4f}" if told["best_val"] is not None else " " * 9] if told else ["no metrics"]
        if likelihood:
            bound = "≤" if likelihood["bound"] == "upper" else "="
            cells += [f"{likelihood['split']:<5}", f"{bound}{likelihood['nats_per_token']:7.4f}",
                      f"{likelihood['seconds']:7.1f}"]
        print(" ".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=["correctness", "ops", "peers", "train"])
    parser.add_argument("--from", dest="pack", type=pathlib.Path, metavar="DIR", help="what bench/gpu_pack.sh made")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("gpu-results"), help="default gpu-results")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the section (default %(default)s)")
    parser.add_argument("--device", default="cuda", help="cpu: to try the script out where there is no GPU")
    parser.add_argument("--sanitizer", metavar="PATH", help="correctness: compute-sanitizer")
    parser.add_argument("--ops", help="ops: only these, by name")
    parser.add_argument("--repeat", type=int, default=20, help="ops: repeats (default %(default)s)")
    for key in ("sizes", "objectives", "rounds", "bursts", "burst"):
        parser.add_argument(f"--{key}", help="peers: as of bench/peer_pytorch_gpu.py")
    parser.add_argument("--steps", type=int, help="train: fewer steps than the preset's")
    parser.add_argument("--preset", default="baby", help="train: default %(default)s")
    parser.add_argument("--dtype", default="bf16", help="train: default %(default)s")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="train: keys of config.json")
    parser.add_argument("--data", help="train: a text; default the packed TinyShakespeare")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    section = Section(options.section, options, Place(options))
    {"correctness": correctness, "ops": ops, "peers": peers, "train": train}[options.section](section, options)
    sys.exit(section.end())


if __name__ == "__main__":
    main()
