#!/usr/bin/env python3
"""Training steps of masque against PyTorch on one card: the same model, the same step, in turn.

    python3 bench/peer_pytorch_gpu.py --masque-bench build/cuda/bench/masque-bench --out peers.json
    python3 bench/peer_pytorch_gpu.py --device cpu --sizes tiny --masque-bench build/cpu/bench/masque-bench
    python3 bench/peer_pytorch_gpu.py --verify OUT      # OUT: a folder that masque-parity wrote

A step: tokens to the device, LLaDA's masking or AR's shift, forward, backward, clipping, AdamW. PyTorch has bf16
autocast, fused AdamW and scaled_dot_product_attention, and runs four ways: eager; compile; reduce-overhead
(torch.compile's own CUDA graphs of forward and backward); graph (one CUDA graph of the whole compiled step). PyTorch is
spared one thing: special tokens stay in its softmax. masque runs as a process of its own each round. Times are
medians over bursts of steps, the host free to run ahead within one; ratios are medians over rounds. The report is
written after every round. --verify holds the model and the step to masque's own logits, losses and gradient norms.
"""

import argparse
import datetime
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import peer_model  # noqa: E402
import peer_training  # noqa: E402

MODERN = {"norm": "rmsnorm", "mlp": "swiglu", "position": "rope", "bias": False}
SIZES = {  # "vocab_size" and "batch" besides config.json's "model"
    "tiny": {"layers": 2, "heads": 2, "width": 64, "context": 32, **MODERN, "vocab_size": 69, "batch": 4},
    "quick": {"layers": 4, "heads": 4, "width": 128, "context": 128, **MODERN, "vocab_size": 69, "batch": 32},
    "baby": {"layers": 6, "heads": 6, "width": 384, "context": 256, "bias": False, "tied": True, "dropout": 0.2,
             "vocab_size": 69, "batch": 64},
    "gpt2": {"layers": 12, "heads": 12, "width": 768, "context": 1024, "tied": True, "vocab_size": 50304,
             "batch": 16},
}
WAYS = {"cuda": ["eager", "compile", "reduce-overhead", "graph"], "cpu": ["eager", "compile"]}
WARMUP = 4  # steps of a way, the first of which compiles
ANNOTATION = re.compile("Optimizer[.]|ProfilerStep|Torch-Compiled|CompiledFunction|## ")
ATTENTION = re.compile("flash|fmha|cudnn|attention|softmax|sdp", re.IGNORECASE)


class Training(peer_training.Training):
    """Stepped in any of WAYS."""

    def __init__(self, size, objective, device, dtype):
        config = {key: value for key, value in size.items() if key != "batch"}
        fused = {"fused": True, "capturable": True} if device.type == "cuda" else {}
        super().__init__({**config, "objective": objective}, {}, size["batch"], device, dtype, fused)

    def whole(self, loss):  # all of a step but the copy of its tokens
        loss(self.tokens.here).backward()
        self.update()

    def prepare(self, way):
        """Compiles, warms up; returns what one step of that way is."""
        if way == "eager":
            work = lambda: self.whole(self.loss)  # noqa: E731
        elif way == "compile":
            compiled = torch.compile(self.loss, dynamic=False)
            work = lambda: self.whole(compiled)  # noqa: E731
        elif way == "reduce-overhead":
            reduced = torch.compile(self.loss, dynamic=False, mode="reduce-overhead")

            def work():
                torch.compiler.cudagraph_mark_step_begin()
                self.whole(reduced)
        elif way == "graph":
            work = self.record(torch.compile(self.loss, dynamic=False)).replay
        else:
            raise ValueError(f"unknown way {way}")

        def step():
            self.tokens.advance()
            work()

        for _ in range(WARMUP):
            step()
        return step

    def record(self, loss):
        self.tokens.advance()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARMUP):
                self.whole(loss)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.whole(loss)
        return graph

    def lasting_bytes(self):
        tensors = list(self.model.parameters())
        for state in self.optimizer.state.values():
            tensors += [value for value in state.values() if torch.is_tensor(value)]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def bursts(step, device, count, burst):
    """Milliseconds a step, of `count` bursts."""
    times = []
    for _ in range(count):
        if device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(burst):
                step()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) / burst)
        else:
            start = time.perf_counter()
            for _ in range(burst):
                step()
            times.append(1e3 * (time.perf_counter() - start) / burst)
    return times


def profile(step, device):
    """Kernels of one step, and those that attention is made of."""
    if device.type != "cuda":
        return {}
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        step()
        torch.cuda.synchronize()
    on_gpu = [event.name for event in profiler.events()  # less ranges that a program names
              if event.device_type == torch.autograd.DeviceType.CUDA
              and not getattr(event, "is_user_annotation", False) and not ANNOTATION.match(event.name)]
    kernels = [name for name in on_gpu if not name.startswith(("Memcpy", "Memset"))]
    return {"kernels": len(kernels), "copies": len(on_gpu) - len(kernels),
            "attention_kernels": sorted({name[:120] for name in kernels if ATTENTION.search(name)})}


def attention_backend(size, device, dtype, objective):
    """What scaled_dot_product_attention chooses for this shape."""
    kind = torch.bfloat16 if dtype == "bf16" else torch.float32
    shape = (size["batch"], size["heads"], size["context"], size["width"] // size["heads"])
    q, k, v = (torch.zeros(shape, dtype=kind, device=device, requires_grad=True) for _ in range(3))
    chosen = torch._fused_sdp_choice(q, k, v, dropout_p=size.get("dropout", 0.0), is_causal=objective == "ar")
    return {0: "math", 1: "flash", 2: "efficient", 3: "cudnn", 4: "other"}.get(chosen, str(chosen))


def run_masque(options, size, objective):
    """One process of masque-bench step: its result, with memory."""
    keys = [f"{key}={json.dumps(value) if isinstance(value, bool) else value}"
            for key, value in peer_model.complete(size).items() if key not in ("vocab_size", "objective")]
    command = [*options.masque_bench.split(), "step", "--preset", "quick", "--objective", objective,
               "--vocab", str(size["vocab_size"]), "--steps", str(options.bursts),
               "--burst", str(options.burst), "--device", options.device, "--dtype", options.masque_dtype,
               "--json", "--set", *keys, "lr=1e-3", "clip=1", "accumulation=1", "ema=0"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"masque-bench: {done.stderr.strip()[-600:]}")
    report = json.loads(done.stdout)
    return {**report["results"][0], "memory_bytes": report.get("memory_bytes"), "machine": report["machine"],
            "ceilings": report["ceilings"]}


def prepare_way(training, way, device):
    """(step or None, what is known of it): a way that fails is reported, not fatal."""
    about = {"way": way, "times_ms": [], "rounds_ms": []}
    try:
        if device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        start = time.perf_counter()
        step = training.prepare(way)
        wait(device)
        about["prepare_s"] = round(time.perf_counter() - start, 2)
        if device.type == "cuda":
            about["memory_bytes"] = (torch.cuda.max_memory_allocated() - before + training.lasting_bytes())
        about.update(profile(step, device))
        return step, about
    except Exception as error:  # noqa: BLE001
        about["error"] = f"{type(error).__name__}: {error}"[-600:]
        return None, about


def compare(options, name, objective, save):
    size, device = SIZES[name], torch.device(options.device)
    if hasattr(torch, "_dynamo"):
        torch._dynamo.reset()
    result = {"size": name, "objective": objective, **size, "masque": {"times_ms": [], "rounds_ms": []}, "torch": []}
    save(result)
    training = Training(size, objective, device, options.dtype)
    result["parameters"] = sum(p.numel() for p in training.model.parameters())
    if hasattr(torch, "_fused_sdp_choice"):
        result["sdpa"] = attention_backend(size, device, options.dtype, objective)
    steps = []
    for way in options.ways:
        step, about = prepare_way(training, way, device)
        steps.append(step)
        result["torch"].append(about)
        save(result)
    with torch.no_grad():
        result["torch_loss"] = training.loss(training.tokens.here).item()
    for _ in range(options.rounds):
        if options.masque_bench:
            try:
                masque = run_masque(options, size, objective)
                if masque["parameters"] != result["parameters"]:
                    raise RuntimeError(f"masque has {masque['parameters']} parameters, PyTorch {result['parameters']}")
                result["masque"]["rounds_ms"].append(masque["median_ms"])
                result["masque"].update(masque)
            except RuntimeError as error:
                result["masque"]["error"] = str(error)
        for step, about in zip(steps, result["torch"]):
            if step is None:
                continue
            times = bursts(step, device, options.bursts, options.burst)
            about["times_ms"] += times
            about["rounds_ms"].append(statistics.median(times))
        summarise(result)
        save(result)
    return result


def summarise(result):
    ours = result["masque"]["rounds_ms"]
    tokens = result["batch"] * result["context"]
    for about in result["torch"]:
        theirs = about["rounds_ms"]
        if not theirs:
            continue
        about["median_ms"] = statistics.median(theirs)
        about["tokens_per_second"] = 1e3 * tokens / about["median_ms"]
        if len(ours) == len(theirs):
            about["ratio"] = statistics.median(t / o for t, o in zip(theirs, ours))
    if ours:
        result["masque"]["median_ms"] = statistics.median(ours)
        result["masque"]["tokens_per_second"] = 1e3 * tokens / result["masque"]["median_ms"]


def table(results):
    print(f"{'size':<6} {'objective':<9} {'program':<18} {'ms/step':>9} {'tokens/s':>12} {'ratio':>7} {'kernels':>8} "
          f"{'MiB':>7}")
    for result in results:
        rows = [("masque", result["masque"])] + [("torch " + t["way"], t) for t in result["torch"]]
        for program, row in rows:
            head = f"{result['size']:<6} {result['objective']:<9} {program:<18}"
            if "median_ms" not in row:
                print(f"{head} {'failed: ' + row['error'].splitlines()[-1][:70] if 'error' in row else 'not run'}")
                continue
            ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
            kernels = row.get("kernels", row.get("launches")) or ""
            memory = f"{row['memory_bytes'] / 2**20:.0f}" if row.get("memory_bytes") else ""
            print(f"{head} {row['median_ms']:9.3f} {row['tokens_per_second']:12,.0f} {ratio:>7} {kernels:>8} {memory:>7}")


def verify(folder):
    """Largest differences from masque over a folder of masque-parity; fails above parity's limit."""
    limit, failed = peer_training.parity.LIMIT, False
    print(f"torch {torch.__version__}; largest difference from masque (limit {limit:g})")
    paths = sorted(folder.glob("*/config.json"))
    if not paths:
        sys.exit(f"{folder}: no case in it; run masque-parity {folder} first")
    for path in paths:
        case = peer_training.Case(path.parent)
        model = peer_model.Model(peer_model.complete(case.config["model"])).eval()
        model.load_state_dict(case.weights)
        with torch.no_grad():
            first = peer_training.parity.micro_batch(case.batches, 0, 0)
            real = torch.arange(first["inputs"].shape[1])[None, :] < first["lengths"][:, None]
            logits = model(first["inputs"], first["lengths"])
            gaps = [(logits - case.expected["logits"])[real].abs().max().item()]
        gaps += case.replay(
            model, peer_training.optimizer_of(model, case.config["training"], {}),
            lambda batch: peer_model.weighted_loss(model(batch["inputs"], batch["lengths"]), batch["targets"],
                                                   batch["weights"], True))
        good = all(gap <= limit for gap in gaps)
        failed |= not good
        print(f"{path.parent.name:<16} {gaps[0]:9.1e} {gaps[1]:9.1e} {gaps[2]:11.1e}{'' if good else '  FAILED'}")
    sys.exit(1 if failed else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verify", type=pathlib.Path, metavar="OUT")
    parser.add_argument("--masque-bench", default="", metavar="COMMAND", help="without it only PyTorch is timed")
    parser.add_argument("--out", type=pathlib.Path, help="JSON report")
    parser.add_argument("--sizes", default="baby,quick,gpt2", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--objectives", default="llada,ar")
    parser.add_argument("--ways", help="of " + ", ".join(WAYS["cuda"]))
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--dtype", choices=["bf16", "f32"], help="PyTorch's; default bf16 on a GPU, else f32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bursts", type=int, default=8, help="a round")
    parser.add_argument("--burst", type=int, default=10, help="steps")
    parser.add_argument("--limit", type=float, default=480, help="seconds; no comparison is begun after them")
    options = parser.parse_args()
    if options.verify:
        verify(options.verify)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU; --device cpu compares on the CPU")
    options.dtype = options.dtype or ("bf16" if options.device == "cuda" else "f32")
    options.masque_dtype = options.dtype if options.device == "cuda" else "f32"
    options.ways = options.ways.split(",") if options.ways else WAYS[options.device]
    torch.set_float32_matmul_precision("high")

    report = {"benchmark": "peers", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "torch": torch.__version__, "device": options.device, "dtype": options.dtype,
              "rounds": options.rounds, "bursts": options.bursts, "burst": options.burst, "results": []}
    if options.device == "cuda":
        report["gpu"] = torch.cuda.get_device_name()
    start = time.monotonic()

    def save(result):
        if result not in report["results"]:
            report["results"].append(result)
        if options.out:
            part = options.out.with_suffix(".part")
            part.write_text(json.dumps(report, indent=1))
            part.replace(options.out)

    pairs = [(n, o) for n in options.sizes.split(",") for o in options.objectives.split(",")]
    for name, objective in pairs:
        if time.monotonic() - start > options.limit:
            print(f"{name} {objective}: not begun, the time is up (--limit {options.limit:g})")
            report.setdefault("not_begun", []).append(f"{name} {objective}")
            continue
        compare(options, name, objective, save)
        if options.device == "cuda":
            torch.cuda.empty_cache()
    print(f"torch {torch.__version__} on {report.get('gpu', 'the CPU')}, {options.dtype}; ratio: their time over masque's")
    table(report["results"])
    errors = [r for r in report["results"] if "error" in r["masque"] or any("error" in t for t in r["torch"])]
    sys.exit(1 if errors or "not_begun" in report else 0)


if __name__ == "__main__":
    main()
