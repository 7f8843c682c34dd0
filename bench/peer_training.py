"""A training step of masque's in PyTorch, and the check that it is the same step: of the peers of masque-bench."""

import json
import pathlib
import sys
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests")]
import parity_pytorch as parity  # noqa: E402
import peer_model  # noqa: E402

DEFAULTS = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1, "clip": 1.0, "epsilon": 1e-3}


class Tokens:
    """Batches as a loader gives them: on the way to a GPU pinned host memory, copied while the host goes on."""

    def __init__(self, shape, vocab_size, device):
        generator = torch.Generator().manual_seed(1)
        self.host = torch.randint(peer_model.SPECIALS, vocab_size, (8, *shape), generator=generator)
        if device.type == "cuda":
            self.host = self.host.pin_memory()
        self.here = torch.empty(shape, dtype=torch.long, device=device)
        self.next = 0

    def advance(self):
        self.here.copy_(self.host[self.next % len(self.host)], non_blocking=True)
        self.next += 1


class Training:
    """A model, its optimizer, its batches.

    config, training: as config.json's "model" and "training". exclude: special tokens leave the softmax, as masque's.
    """

    def __init__(self, config, training, batch, device, dtype, adamw=None, exclude=False):
        torch.manual_seed(1)
        self.objective, self.device, self.dtype, self.exclude = config["objective"], device, dtype, exclude
        self.training = {**DEFAULTS, **training}
        self.model = peer_model.Model(peer_model.complete(config)).to(device)
        self.optimizer = optimizer_of(self.model, self.training, adamw or {})
        self.tokens = Tokens((batch, config["context"]), config["vocab_size"], device)

    def read(self, tokens):
        """(inputs, targets, weights) of a batch: where the objectives part."""
        if self.objective == "llada":
            inputs, weights = peer_model.masked(tokens, self.training["epsilon"])
            return inputs, tokens, weights
        start = torch.full_like(tokens[:, :1], peer_model.START)
        return torch.cat([start, tokens[:, :-1]], 1), tokens, None

    def loss_of(self, inputs, targets, weights):
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == "bf16"):
            return peer_model.weighted_loss(self.model(inputs), targets, weights, self.exclude)

    def loss(self, tokens):
        return self.loss_of(*self.read(tokens))

    def update(self):
        """What follows the backward; returns the gradient's norm."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.training["clip"] or float("inf"))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm


def optimizer_of(model, training, adamw):
    groups = peer_model.decay_groups(model, training["weight_decay"])
    return torch.optim.AdamW(groups, lr=training["lr"], betas=(training["beta1"], training["beta2"]), **adamw)


def set_rate(optimizer, training, step):
    rate = training["lr"]
    if training["schedule"] == "cosine" or step < training["warmup"]:
        rate = peer_model.cosine_rate(step, training["steps"], training["warmup"], training["lr"], training["min_lr"])
    for group in optimizer.param_groups:
        group["lr"] = rate


class Case:
    """A folder of masque-parity."""

    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights, self.batches, self.expected = (
            parity.read_safetensors(folder / f"{name}.safetensors") for name in ("model", "batches", "expected"))

    def replay(self, model, optimizer, loss_of):
        """Trains on the case's batches: the largest differences of losses and, relatively, gradient norms."""
        training, gaps = self.config["training"], [0.0, 0.0]
        for step in range(training["steps"]):
            total = 0.0
            for micro in range(training["accumulation"]):
                loss = loss_of(parity.micro_batch(self.batches, step, micro))
                loss.backward()
                total += loss.item()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), training["clip"] or float("inf")).item()
            set_rate(optimizer, training, step)
            optimizer.step()
            optimizer.zero_grad()
            wanted = {name: self.expected[name][step].item() for name in ("losses", "grad_norms")}
            gaps = [largest(gaps[0], abs(total - wanted["losses"])),
                    largest(gaps[1], abs(norm - wanted["grad_norms"]) / wanted["grad_norms"])]
        return gaps


def largest(a, b):
    return a if b <= a or a != a else b  # NaN is larger than all


def fastest_adamw(model):
    """The arguments of AdamW's fastest implementation here, by updates of a copy of the model's parameters."""
    times = {}
    for name in ("fused", "foreach", "one by one"):
        arguments = {"foreach": False} if name == "one by one" else {name: True}
        copies = [torch.nn.Parameter(parameter.detach().clone()) for parameter in model.parameters()]
        for copy in copies:
            copy.grad = torch.randn_like(copy)
        try:
            optimizer = torch.optim.AdamW(copies, **arguments)
            optimizer.step()
            start = time.perf_counter()
            for _ in range(5):
                optimizer.step()
            times[name] = (time.perf_counter() - start) / 5, arguments
        except (RuntimeError, TypeError, ValueError):  # not in this version, or not on this device
            continue
    name = min(times, key=lambda key: times[key][0])
    return name, times[name][1]
