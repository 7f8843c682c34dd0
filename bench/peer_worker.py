"""One way of PyTorch's in a process of its own, for bench/compare_pytorch.py, which starts it and asks by lines.

argv[1]: {"task": "verify" | "train" | "decode", "way": "eager" | "compile" | …, "dtype", "threads", …}. One JSON object
a line comes back on stdout: first what preparing told, then an answer for each line {"times": N} of stdin.
"""

import json
import os
import pathlib
import sys
import time

ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what a compiler prints is no answer

import torch  # noqa: E402

if hasattr(torch, "compile"):
    import torch._dynamo  # noqa: E402,F401  which an optimizer would import

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import peer_decoding  # noqa: E402
import peer_model  # noqa: E402
import peer_training  # noqa: E402

WARMUP = 3  # steps, or generations


def answer(value):
    ANSWERS.write(json.dumps(value) + "\n")
    ANSWERS.flush()


def memory(key):
    """Bytes: VmRSS, held now; VmHWM, the most ever."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) << 10


def forget_peak():
    """The peak begins anew at what is held now: without what compiling took. False where Linux refuses."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        return True
    except OSError:
        return False


def compiler(way):
    """What wraps a step; None: nothing does."""
    if way == "eager":
        return None
    if not hasattr(torch, "compile"):
        raise NotImplementedError("torch.compile is not in this version")
    return lambda function: torch.compile(function, dynamic=False, **({} if way == "compile" else {"mode": way}))


def wrapped(function, way):
    compile = compiler(way)
    return compile(function) if compile else function


class TrainingSteps(peer_training.Training):
    def __init__(self, order):
        config, training = order["config"]["model"], order["config"]["training"]
        super().__init__(config, training, training["batch"], torch.device("cpu"), order["dtype"], order["adamw"], True)
        # AR too weighs each position, so that what is timed is what was verified, to the last op.
        self.even = torch.full(self.tokens.here.shape, 1 / self.tokens.here.numel())
        self.compiled = wrapped(self.loss_of, order["way"])

    def __call__(self):
        self.tokens.advance()
        inputs, targets, weights = self.read(self.tokens.here)
        self.compiled(inputs, targets, self.even if weights is None else weights).backward()
        self.update()


def verify(order):
    """The losses of a case of masque-parity, by the step that will be timed."""
    case = peer_training.Case(pathlib.Path(order["case"]))
    model, training = case.config["model"], case.config["training"]
    name, adamw = peer_training.fastest_adamw(peer_model.Model(peer_model.complete(model)))
    steps = peer_training.Training(model, training, training["batch"], torch.device("cpu"), order["dtype"], adamw, True)
    steps.model.load_state_dict(case.weights)
    if any((lengths != model["context"]).any() for key, lengths in case.batches.items() if key.endswith("lengths")):
        raise ValueError("the case has short rows, which no timed batch has")
    loss_of = wrapped(steps.loss_of, order["way"])
    losses, norms = case.replay(steps.model, steps.optimizer,
                                lambda batch: loss_of(batch["inputs"], batch["targets"], batch["weights"]))
    return {"loss_gap": losses, "norm_gap": norms, "adamw": adamw, "adamw_name": name}


class Generations:
    """ids: what masque made of the same weights, `given` tokens a row before."""

    def __init__(self, order):
        config = peer_model.complete(order["config"]["model"])
        model = peer_model.Model(config).eval()
        model.load_state_dict(peer_training.parity.read_safetensors(pathlib.Path(order["weights"])))
        if order["dtype"] == "bf16":
            model = model.bfloat16()
        self.wanted = torch.tensor(order["ids"])
        self.produced = self.wanted.shape[1] - order["length"]  # the first position
        if config["objective"] == "ar":
            self.start = self.wanted[:, : self.produced].clone()
            way = peer_decoding.Autoregressive(model, len(self.wanted), order["length"], compiler(order["way"]))
        else:
            self.start = self.wanted.clone()
            self.start[:, self.produced :] = peer_model.MASK
            way = peer_decoding.MaskedDiffusion(model, order["steps"], compiler(order["way"]))
        self.generate, self.ids = way.generate, None

    def __call__(self):
        with torch.inference_mode():
            self.ids = self.generate(self.start)

    def agreement(self):
        return (self.ids == self.wanted)[:, self.produced :].float().mean().item()


def main():
    import_bytes = memory("VmRSS")
    order = json.loads(sys.argv[1])
    torch.set_num_threads(order["threads"])
    if order["task"] == "verify":
        return answer(verify(order))
    start = time.perf_counter()
    work = TrainingSteps(order) if order["task"] == "train" else Generations(order)
    for _ in range(WARMUP):
        work()
    told = {"prepare_s": time.perf_counter() - start, "import_bytes": import_bytes,
            "preparing_peak_bytes": memory("VmHWM"), "peak_is_of_steps": forget_peak()}
    if order["task"] == "train":
        told["parameters"] = sum(parameter.numel() for parameter in work.model.parameters())
    else:
        told["agreement"] = work.agreement()
    answer(told)
    for line in sys.stdin:
        times = []
        for _ in range(json.loads(line)["times"]):
            start = time.perf_counter()
            work()
            times.append(1e3 * (time.perf_counter() - start))
        answer({"times_ms": times, "peak_bytes": memory("VmHWM")})


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001
        answer({"error": f"{type(error).__name__}: {error}"[-600:]})
        sys.exit(1)
