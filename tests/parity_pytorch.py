#!/usr/bin/env python3
"""Holds masque to an independent PyTorch implementation, written from docs/checkpoint-format.md alone.

    build/cpu/tests/masque-parity OUT && python3 tests/parity_pytorch.py OUT

For each folder of OUT: reads config.json and the first weights, and wants masque's logits within 1e-4, and its
losses over 20 steps of AdamW (clipping, schedule, accumulation) on the same batches within 1e-4; gradient norms within
1e-4 of their size. Needs PyTorch 1.13 or later and nothing else.
"""

import json
import math
import pathlib
import struct
import sys

import torch

LIMIT = 1e-4
SPECIALS = 4  # [PAD], [MASK], [START], [END]: never produced


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = bytearray(data[8 + length :])
    types = {"F32": torch.float32, "F64": torch.float64}
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(body, dtype=torch.uint8)[begin:end].clone()
        arrays[name] = flat.view(types[entry["dtype"]]).reshape(entry["shape"])
    return arrays


class Model:
    def __init__(self, config, weights):
        self.config = config
        self.weights = {name: value.clone().requires_grad_() for name, value in weights.items()}

    def linear(self, x, name):
        y = x @ self.weights[name + ".weight"].T
        return y + self.weights[name + ".bias"] if self.config["bias"] else y

    def norm(self, x, name):
        weight, eps = self.weights[name + ".weight"], self.config["norm_eps"]
        if self.config["norm"] == "rmsnorm":
            return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight
        centred = x - x.mean(-1, keepdim=True)
        y = centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + eps) * weight
        return y + self.weights[name + ".bias"] if self.config["bias"] else y

    def rotate(self, x):  # (B, T, NH, HS)
        T, HS = x.shape[1], x.shape[3]
        half = HS // 2
        rate = self.config["rope_theta"] ** (-2 * torch.arange(half, dtype=torch.float64) / HS)
        angle = (torch.arange(T, dtype=torch.float64)[:, None] * rate).float()[None, :, None, :]
        u, w = x[..., :half], x[..., half:]
        return torch.cat(
            [u * angle.cos() - w * angle.sin(), w * angle.cos() + u * angle.sin()], dim=-1
        )

    def attention(self, qkv, lengths):
        B, T, C3 = qkv.shape
        NH = self.config["heads"]
        HS = C3 // 3 // NH
        q, k, v = (part.reshape(B, T, NH, HS) for part in qkv.split(C3 // 3, dim=-1))
        if self.config["position"] == "rope":
            q, k = self.rotate(q), self.rotate(k)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(HS)
        position = torch.arange(T)
        real = position[None, :] < lengths[:, None]  # (B, T)
        seen = real[:, None, None, :].expand(B, 1, T, T)
        if self.config["objective"] == "ar":
            seen = seen & (position[None, :] <= position[:, None])
        # A large negative number, not infinity: a row that sees nothing is zeroed below.
        probabilities = scores.masked_fill(~seen, -1e30).softmax(-1)
        out = torch.einsum("bhij,bjhd->bihd", probabilities, v).reshape(B, T, C3 // 3)
        return out * real[:, :, None]

    def mlp(self, x, name):
        up = self.linear(x, name + ".up")
        if self.config["mlp"] == "swiglu":
            gate, value = up.chunk(2, dim=-1)
            active = gate / (1 + torch.exp(-gate)) * value
        else:
            inner = math.sqrt(2 / math.pi) * (up + 0.044715 * up**3)
            active = up / 2 * (1 + torch.tanh(inner))
        return self.linear(active, name + ".down")

    def logits(self, ids, lengths):
        x = self.weights["wte.weight"][ids]
        if self.config["position"] == "learned":
            x = x + self.weights["wpe.weight"][: ids.shape[1]]
        for i in range(self.config["layers"]):
            name = f"blocks.{i}"
            qkv = self.linear(self.norm(x, name + ".norm1"), name + ".attn.qkv")
            x = x + self.linear(self.attention(qkv, lengths), name + ".attn.out")
            x = x + self.mlp(self.norm(x, name + ".norm2"), name + ".mlp")
        head = self.weights["wte.weight" if self.config["tied"] else "head.weight"]
        return self.norm(x, "norm") @ head.T

    def loss(self, batch):
        logits = self.logits(batch["inputs"], batch["lengths"])
        logits = torch.cat([torch.full_like(logits[..., :SPECIALS], -1e30),
                            logits[..., SPECIALS:]], dim=-1)
        weighs = batch["weights"] != 0
        nll = -logits.log_softmax(-1)[weighs].gather(-1, batch["targets"][weighs][:, None])[:, 0]
        return (batch["weights"][weighs] * nll).sum()


class AdamW:
    def __init__(self, model, training):
        self.weights, self.training = list(model.weights.values()), training
        self.m = [torch.zeros_like(w) for w in self.weights]
        self.v = [torch.zeros_like(w) for w in self.weights]

    def rate(self, step):
        t = self.training
        if step < t["warmup"]:
            return t["lr"] * (step + 1) / (t["warmup"] + 1)
        if t["schedule"] == "constant":
            return t["lr"]
        progress = min(1, (step - t["warmup"]) / (t["steps"] - t["warmup"]))
        return t["min_lr"] + (t["lr"] - t["min_lr"]) * (1 + math.cos(math.pi * progress)) / 2

    @torch.no_grad()
    def update(self, step):
        t = self.training
        norm = math.sqrt(sum((w.grad.double() ** 2).sum().item() for w in self.weights))
        scale = min(1.0, t["clip"] / norm) if t["clip"] > 0 else 1.0
        for w, m, v in zip(self.weights, self.m, self.v):
            g = w.grad * scale
            m.mul_(t["beta1"]).add_(g, alpha=1 - t["beta1"])
            v.mul_(t["beta2"]).add_(g * g, alpha=1 - t["beta2"])
            m_hat = m / (1 - t["beta1"] ** (step + 1))
            v_hat = v / (1 - t["beta2"] ** (step + 1))
            decay = t["weight_decay"] if w.dim() == 2 else 0.0
            w -= self.rate(step) * (m_hat / (v_hat.sqrt() + 1e-8) + decay * w)
            w.grad = None
        return norm


def micro_batch(arrays, step, micro):
    batch = {key: arrays[f"{step}.{micro}.{key}"]
             for key in ("inputs", "targets", "weights", "lengths")}
    return {key: value if key == "weights" else value.long() for key, value in batch.items()}


def compare(folder):
    """Returns the largest differences of logits, losses and (relative) gradient norms."""
    config = json.loads((folder / "config.json").read_text())
    training = config["training"]
    model = Model(config["model"], read_safetensors(folder / "model.safetensors"))
    batches = read_safetensors(folder / "batches.safetensors")
    expected = read_safetensors(folder / "expected.safetensors")

    first = micro_batch(batches, 0, 0)
    real = torch.arange(first["inputs"].shape[1])[None, :] < first["lengths"][:, None]
    with torch.no_grad():
        logits = model.logits(first["inputs"], first["lengths"])
    logit_gap = (logits - expected["logits"])[real].abs().max().item()

    optimizer = AdamW(model, training)
    loss_gap = norm_gap = 0.0
    for step in range(training["steps"]):
        total = 0.0
        for micro in range(training["accumulation"]):
            loss = model.loss(micro_batch(batches, step, micro))
            loss.backward()
            total += loss.item()
        norm = optimizer.update(step)
        loss_gap = max(loss_gap, abs(total - expected["losses"][step].item()))
        wanted = expected["grad_norms"][step].item()
        norm_gap = max(norm_gap, abs(norm - wanted) / wanted)
    return logit_gap, loss_gap, norm_gap


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: parity_pytorch.py OUT (a folder that masque-parity wrote)")
    torch.set_num_threads(2)
    folders = sorted(path.parent for path in pathlib.Path(sys.argv[1]).glob("*/config.json"))
    if not folders:
        sys.exit(f"{sys.argv[1]}: no case in it; run masque-parity {sys.argv[1]} first")
    print(f"torch {torch.__version__}; largest difference from masque (limit {LIMIT:g})")
    print(f"{'case':<16} {'logits':>9} {'losses':>9} {'grad norms':>11}")
    failed = False
    for folder in folders:
        gaps = compare(folder)
        good = all(gap <= LIMIT for gap in gaps)  # NaN is not good
        failed |= not good
        print(f"{folder.name:<16} {gaps[0]:9.1e} {gaps[1]:9.1e} {gaps[2]:11.1e}"
              f"{'' if good else '  FAILED'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
