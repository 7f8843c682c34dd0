#!/usr/bin/env python3
"""Training and generation on the CPU: masque against PyTorch, the same model, weights, step and threads, in turn.

    python3 bench/compare_pytorch.py --presets quick,small,baby:16,baby:4 --out compare.json
    python3 bench/compare_pytorch.py --tasks decode --presets quick --decode-batch 16 --decode-steps 64

The python that runs this has the PyTorch to compare with; masque's programs are those of --build. PyTorch goes
through --ways times --dtypes: eager and torch.compile (any of its modes too, as max-autotune), f32, and bf16 by
autocast (training) or bf16 weights (generation), with scaled_dot_product_attention and AdamW's fastest implementation.

First the work is held to be the same. Training: masque-parity trains the preset without dropout for some steps, and
each way of PyTorch repeats them from the same weights on the same batches: its losses must be masque's within 1e-4 in
f32, 0.02 in bf16. Generation: at temperature 0 from the same weights, at least 99% of the tokens in f32 must be
masque's.

Then it is timed. Each way is a process that stays, so that it compiles once, and is asked for some steps a round, in
turn with masque-bench, which is a process a round. Times are medians; a ratio is the median over rounds of their
median over that of masque's fastest type. What fails, differs or exceeds --limit is said and not compared. Peak
memory is of the whole process; PyTorch's without what compiling took, where Linux tells it. Exit status 1 where masque
failed, where work differed, or where no way of PyTorch's ran.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOSS_LIMITS = {"f32": 1e-4, "bf16": 0.02}
AGREEMENT = 0.99  # of f32's tokens: near ties may fall either way
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


class NotCompared(Exception):
    """Why a program has no numbers. differed: it ran, but its work was not the same."""

    def __init__(self, reason, differed=False):
        super().__init__(reason)
        self.differed = differed


def last_line(text):
    return (text.strip().splitlines() or ["no message"])[-1][-300:]


class Worker:
    """A process of bench/peer_worker.py."""

    def __init__(self, options, order):
        self.limit, self.log = options.limit, tempfile.TemporaryFile("w+")
        order = {**order, "threads": options.threads}
        self.process = subprocess.Popen([sys.executable, ROOT / "bench/peer_worker.py", json.dumps(order)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=environment(options))
        try:
            self.told = self.read()
        except BaseException:
            self.close()
            raise

    def read(self):
        ready, _, _ = select.select([self.process.stdout], [], [], self.limit)
        if not ready:
            raise NotCompared(f"not done in {self.limit:g} s (--limit)")
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            raise NotCompared(f"ended with {self.process.returncode}: {last_line(self.log.read())}")
        said = json.loads(line)
        if "error" in said:
            raise NotCompared(last_line(said["error"]))
        return said

    def ask(self, times):
        try:
            self.process.stdin.write(json.dumps({"times": times}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # read() says how it ended
        return self.read()

    def close(self):
        self.process.kill()
        self.process.communicate()


def environment(options):
    return {**os.environ, "OMP_NUM_THREADS": str(options.threads), "MKL_NUM_THREADS": str(options.threads)}


def run_masque(options, program, arguments):
    command = [options.build / program, *(str(argument) for argument in arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.limit, env=environment(options))
    except subprocess.TimeoutExpired:
        raise NotCompared(f"not done in {options.limit:g} s (--limit)") from None
    if done.returncode != 0:
        raise NotCompared(last_line(done.stderr))
    return done.stdout


def bench(options, command, subject, dtype, arguments):
    """What masque-bench says of one objective."""
    said = json.loads(run_masque(options, "bench/masque-bench", [
        command, "--preset", subject["preset"], "--objective", subject["objective"], "--device", "cpu",
        "--dtype", dtype, "--threads", options.threads, "--json", *arguments, *set_arguments(subject["set"])]))
    return {**said["results"][0], "peak_bytes": said["peak_bytes"], "machine": said["machine"]}


def parity(options, folder, subject, dtype, keys, arguments=()):
    """A case of masque-parity; returns its folder."""
    run_masque(options, "tests/masque-parity", [folder, "--preset", subject["preset"], "--objective",
                                                subject["objective"], "--dtype", dtype, *arguments,
                                                *set_arguments(subject["set"] + keys)])
    return folder / f"{subject['preset']}-{subject['objective']}"


def set_arguments(keys):
    return ["--set", *keys] if keys else []


def losses_of(case):
    data = (case / "expected.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    begin, end = json.loads(data[8 : 8 + length])["losses"]["data_offsets"]
    return struct.unpack(f"<{(end - begin) // 4}f", data[8 + length :][begin:end])


def require_same_step(config, case):
    """The step that masque-bench times is the one that PyTorch repeats, but for dropout."""
    training = config["training"]
    for key, wanted in (("accumulation", 1), ("ema", 0), ("start_token", True), ("t_sampling", "stratified"),
                        ("weighting", "inverse_t")):
        if training[key] != wanted:
            sys.exit(f"{key} = {training[key]}: PyTorch's step here is of {key} = {wanted}; add --set {key}={wanted}")
    verified = json.loads((case / "config.json").read_text())
    for half, free in (("model", {"dropout"}), ("training", {"steps", "warmup"})):
        differing = {key for key, value in config[half].items() if verified[half][key] != value} - free
        if differing:
            sys.exit(f"masque-parity and masque-bench differ in {', '.join(sorted(differing))}")


class Training:
    """subject: {"preset", "objective", "set"}."""

    task, unit = "train", "step"

    def __init__(self, options, subject, folder):
        self.options, self.subject, self.folder, self.times = options, subject, folder, options.steps
        keys = ["dropout=0", "warmup=0"]  # dropout draws differ; a first rate that moves the weights
        arguments = ["--steps", options.verify_steps]
        self.case = parity(options, folder / "f32", subject, "f32", keys, arguments)
        self.parity = lambda dtype: parity(options, folder / dtype, subject, dtype, keys, arguments)
        self.config = self.run("f32", 1)["config"]
        require_same_step(self.config, self.case)
        self.about = {"batch": self.config["training"]["batch"], "tokens": self.config["training"]["batch"]
                      * self.config["model"]["context"]}

    def run(self, dtype, times):
        return bench(self.options, "step", self.subject, dtype, ["--steps", times])

    def prepare_masque(self, dtype):
        if dtype == "f32":
            return {}
        gap = max(abs(a - b) for a, b in zip(losses_of(self.case), losses_of(self.parity(dtype))))
        return {"loss_gap": require_losses(gap, dtype)}

    def start(self, way, dtype):
        """(worker, what is known of it)"""
        verifier = Worker(self.options, {"task": "verify", "way": way, "dtype": dtype, "case": str(self.case)})
        verifier.close()
        told = verifier.told
        require_losses(told["loss_gap"], dtype)
        worker = Worker(self.options, {"task": "train", "way": way, "dtype": dtype, "config": self.config,
                                       "adamw": told.pop("adamw")})
        return worker, {**told, **worker.told}


def require_losses(gap, dtype):
    if not gap <= LOSS_LIMITS[dtype]:
        raise NotCompared(f"its losses differ from masque's f32 by {gap:.1e}, more than {LOSS_LIMITS[dtype]:g}", True)
    return gap


class Decoding:
    task, unit = "decode", "generation"

    def __init__(self, options, subject, folder):
        self.options, self.subject, self.times = options, subject, options.repeat
        # Fresh weights make all tokens almost alike: noise tells them apart.
        case = parity(options, folder / "f32", subject, "f32", ["batch=1"], ["--steps", 1, "--disturb"])
        self.weights = case / "model.safetensors"
        first = self.run("f32", 1)
        self.ids, self.config, self.length = first["ids"], first["config"], first["length"]
        self.about = {"batch": first["batch"], "length": self.length, "forwards": first["forwards"],
                      "tokens": first["batch"] * self.length}

    def run(self, dtype, times):
        options = self.options
        return bench(options, "decode", self.subject, dtype, [
            "--weights", self.weights, "--batch", options.decode_batch, "--prompt", options.decode_prompt, "--length",
            options.decode_length, "--steps", options.decode_steps, "--temperature", 0, "--repeat", times])

    def prepare_masque(self, dtype):
        if dtype == "f32":
            return {}
        ids = self.run(dtype, 1)["ids"]
        pairs = [(a, b) for row, wanted in zip(ids, self.ids)
                 for a, b in zip(row[-self.length:], wanted[-self.length:])]
        return {"agreement": sum(a == b for a, b in pairs) / len(pairs)}

    def start(self, way, dtype):
        worker = Worker(self.options, {"task": "decode", "way": way, "dtype": dtype, "config": self.config,
                                       "weights": str(self.weights), "ids": self.ids, "length": self.length,
                                       "steps": self.options.decode_steps})
        agreement = worker.told["agreement"]
        if dtype == "f32" and agreement < AGREEMENT:
            worker.close()
            raise NotCompared(f"only {agreement:.1%} of its tokens are masque's", True)
        return worker, worker.told


def compare(options, task, subject, results, save):
    """Adds a result to `results` and fills it; `save` is called after each round."""
    result = {"task": task.task, **subject, "programs": []}
    results.append(result)
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        workers = []
        try:
            try:
                comparison = task(options, subject, pathlib.Path(folder))
            except NotCompared as reason:
                result["error"] = f"masque: {reason}"
                return
            result.update(comparison.about, config=comparison.config)
            timed = []
            for program, prepare in programs(options, comparison, workers):
                row = {"program": program, "rounds_ms": []}
                result["programs"].append(row)
                note(f"{task.task} {subject['preset']} {subject['objective']}: {program}")
                try:
                    ask, told = prepare()
                    row.update(told)
                    timed.append((row, ask))
                except NotCompared as reason:
                    row.update(not_compared=str(reason), differed=reason.differed)
            for number in range(options.rounds):
                note(f"{task.task} {subject['preset']} {subject['objective']}: round {number + 1} of {options.rounds}")
                for row, ask in timed:
                    if "not_compared" in row:
                        continue
                    try:
                        median, told = ask(comparison.times)
                        row["rounds_ms"].append(median)
                        row.update(told)
                    except NotCompared as reason:
                        row.update(not_compared=str(reason), differed=reason.differed)
                summarise(result)
                save()
        finally:
            for worker in workers:
                worker.close()


def programs(options, comparison, workers):
    """(name, what prepares it), masque's first. Prepared it is a function: times → (median ms, what else it told)."""

    def masque(dtype):
        def ask(times):
            said = comparison.run(dtype, times)
            if "ids" in said and dtype == "f32" and said["ids"] != comparison.ids:
                raise NotCompared("the same generation gave other tokens", True)
            return said["median_ms"], {key: said[key] for key in ("peak_bytes", "parameters", "machine")}

        return ask, comparison.prepare_masque(dtype)

    def torch(way, dtype):
        worker, told = comparison.start(way, dtype)
        workers.append(worker)

        def ask(times):
            said = worker.ask(times)
            return statistics.median(said["times_ms"]), {
                "peak_bytes": said["peak_bytes"], "peak_less_import_bytes": said["peak_bytes"] - told["import_bytes"]}

        return ask, told

    for dtype in options.masque_dtypes:
        yield f"masque {dtype}", lambda dtype=dtype: masque(dtype)
    for way in options.ways:
        for dtype in options.dtypes:
            yield f"torch {way} {dtype}", lambda way=way, dtype=dtype: torch(way, dtype)


def best(result, owner):
    rows = [row for row in result["programs"] if row["program"].startswith(owner) and "median_ms" in row]
    return min(rows, key=lambda row: row["median_ms"], default=None)


def summarise(result):
    for row in result["programs"]:
        for key in ("median_ms", "tokens_per_second", "ratio"):
            row.pop(key, None)
        if row["rounds_ms"] and "not_compared" not in row:
            row["median_ms"] = statistics.median(row["rounds_ms"])
            row["tokens_per_second"] = 1e3 * result["tokens"] / row["median_ms"]
    ours = best(result, "masque")
    for row in result["programs"]:
        if ours and "median_ms" in row:
            row["ratio"] = statistics.median(t / o for t, o in zip(row["rounds_ms"], ours["rounds_ms"]))


def mebibytes(row):
    return row["peak_bytes"] / 2**20


def same_work(row):
    if "loss_gap" in row:
        return f"losses {row['loss_gap']:.0e}"
    return f"tokens {row['agreement']:.1%}" if "agreement" in row else ""


def table(results):
    print(f"{'task':<7} {'preset':<12} {'objective':<9} {'batch':>5}  {'program':<24} {'ms':>10} {'tokens/s':>10} "
          f"{'ratio':>6} {'peak MiB':>8}  same work")
    for result in results:
        head = f"{result['task']:<7} {result['preset']:<12} {result['objective']:<9} {result.get('batch', ''):>5}"
        if "error" in result:
            print(f"{head}  {result['error']}")
        for row in result["programs"]:
            if "median_ms" in row:
                ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
                print(f"{head}  {row['program']:<24} {row['median_ms']:10.2f} {row['tokens_per_second']:10,.0f} "
                      f"{ratio:>6} {mebibytes(row):8.0f}  {same_work(row)}")
            else:
                print(f"{head}  {row['program']:<24} not compared: {row.get('not_compared', 'not timed')}")
    print("\nms: of a training step, or of a whole generation; ratio: their time over masque's")
    for result in results:
        ours, theirs = best(result, "masque"), best(result, "torch")
        name = f"{result['task']} {result['preset']} {result['objective']}" + (
            f", batch {result['batch']}" if "batch" in result else "")
        if ours is None or theirs is None:
            print(f"{name}: nothing to compare {'masque with' if ours else 'PyTorch with'}")
            continue
        least = min((row for row in result["programs"] if row["program"].startswith("torch") and "median_ms" in row),
                    key=mebibytes)
        more, less_import = (least[key] / ours["peak_bytes"] for key in ("peak_bytes", "peak_less_import_bytes"))
        print(f"{name}: PyTorch's best is {theirs['program'][6:]}; it takes {theirs['ratio']:.2f} times as long as "
              f"{ours['program']}. PyTorch's leanest is {least['program'][6:]}: {more:.2f} times the peak memory, "
              f"{less_import:.2f} without what importing it takes")


def note(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def cpu():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.*)$", text, re.MULTILINE)
    present = flags.group(1).split() if flags else []
    return {"model": model.group(1).strip() if model else "unknown", "cores": os.cpu_count(),
            "flags": [flag for flag in FLAGS if flag in present]}


def torch_version(options):
    told = subprocess.run([sys.executable, "-c", "import json, torch; print(json.dumps([torch.__version__, "
                           "getattr(torch.backends, 'mkldnn', None) is not None and torch.backends.mkldnn."
                           "is_available()]))"], capture_output=True, text=True, env=environment(options))
    if told.returncode != 0:
        sys.exit(f"{sys.executable}: imports no torch: {last_line(told.stderr)}")
    return json.loads(told.stdout)


def listed(text):
    return [part for part in text.split(",") if part]


def positive(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return int(text)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/cpu", metavar="DIR",
                        help="has bench/masque-bench and tests/masque-parity (default build/cpu)")
    parser.add_argument("--out", type=pathlib.Path, help="JSON report, written anew after each round")
    parser.add_argument("--tasks", type=listed, default="train,decode", help="of train, decode (default both)")
    parser.add_argument("--presets", type=listed, default="quick,small,baby:16", metavar="NAME[:BATCH],…",
                        help="batch: of training, default the preset's (default %(default)s)")
    parser.add_argument("--objectives", type=listed, default="llada,ar", help="default %(default)s")
    parser.add_argument("--ways", type=listed, default="eager,compile",
                        help="eager, compile or a mode of torch.compile (default %(default)s)")
    parser.add_argument("--dtypes", type=listed, default="f32,bf16", help="PyTorch's (default %(default)s)")
    parser.add_argument("--masque-dtypes", type=listed, default="f32,bf16", help="default %(default)s")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="keys of config.json, for both")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="of both (default: the cores)")
    parser.add_argument("--rounds", type=positive, default=5, help="default %(default)s")
    parser.add_argument("--steps", type=positive, default=5, help="train: a round (default %(default)s)")
    parser.add_argument("--verify-steps", type=positive, default=5, help="train: of the check (default %(default)s)")
    parser.add_argument("--repeat", type=positive, default=3, help="decode: generations a round (default %(default)s)")
    parser.add_argument("--decode-batch", type=positive, default=8, help="sequences at once (default %(default)s)")
    parser.add_argument("--decode-prompt", type=positive, default=8, help="tokens given (default %(default)s)")
    parser.add_argument("--decode-length", type=int, default=0, help="tokens to produce (default: to the context)")
    parser.add_argument("--decode-steps", type=int, default=64, help="LLaDA's; 0: one token each (default %(default)s)")
    parser.add_argument("--limit", type=float, default=300, metavar="SECONDS",
                        help="of preparing a way, and of each of its rounds (default %(default)s)")
    options = parser.parse_args()
    for name, known in (("tasks", {"train", "decode"}), ("objectives", {"llada", "ar"}), ("dtypes", set(LOSS_LIMITS)),
                        ("masque_dtypes", set(LOSS_LIMITS))):
        unknown = set(getattr(options, name)) - known
        if unknown or not getattr(options, name):
            parser.error(f"--{name.replace('_', '-')} {','.join(unknown)}: choose of {', '.join(sorted(known))}")
    if "f32" not in options.masque_dtypes:
        parser.error("--masque-dtypes: f32 is what the others are held to")
    for program in ("bench/masque-bench", "tests/masque-parity"):
        if not (options.build / program).exists():
            parser.error(f"{options.build / program}: missing; build the targets masque-bench and masque-parity")
    return options


def main():
    options = read_options()
    version, onednn = torch_version(options)
    report = {"benchmark": "compare_pytorch", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(
        timespec="seconds"), "torch": version, "torch_onednn": onednn, "python": sys.version.split()[0], "cpu": cpu(),
        "threads": options.threads, "rounds": options.rounds, "steps": options.steps, "repeat": options.repeat,
        "set": options.set, "results": []}

    def save():
        if options.out:
            part = options.out.with_suffix(".part")
            part.write_text(json.dumps(report, indent=1) + "\n")
            part.replace(options.out)

    for task in options.tasks:
        for preset in options.presets:
            name, _, batch = preset.partition(":")
            for objective in options.objectives:
                keys = options.set + ([f"batch={batch}"] if batch and task == "train" else [])
                kind = Training if task == "train" else Decoding
                subject = {"preset": name, "objective": objective, "set": keys}
                compare(options, kind, subject, report["results"], save)
                save()
    machines = [row["machine"] for result in report["results"] for row in result["programs"] if "machine" in row]
    commit = f"masque {machines[0]['version']} (commit {machines[0]['commit']})" if machines else "masque"
    print(f"{commit}, torch {version}; {report['cpu']['model']} ({', '.join(report['cpu']['flags'])}), "
          f"{options.threads} threads; {options.rounds} rounds\n")
    table(report["results"])
    bad = [result for result in report["results"] if "error" in result or best(result, "masque") is None
           or best(result, "torch") is None or any(row.get("differed") for row in result["programs"])]
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
