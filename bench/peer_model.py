"""masque's models in PyTorch, a plain reading of docs/checkpoint-format.md: of the peers of masque-bench.

Parameters have the names of model.safetensors, so a checkpoint's arrays are a state_dict. Runs on PyTorch 1.13 and
later. tests/parity_pytorch.py shares nothing with this on purpose: two readings of one page.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

SPECIALS = 4  # [PAD], [MASK], [START], [END]: never produced
PAD, MASK, START, END = range(SPECIALS)

DEFAULTS = {
    "objective": "llada", "context": 128, "layers": 4, "heads": 4, "width": 128, "mlp_width": 0, "norm": "layernorm",
    "norm_eps": 1e-5, "mlp": "gelu_tanh", "position": "learned", "rope_theta": 10000, "bias": True, "tied": False,
    "dropout": 0.0,
}  # of config.json's "model"


def complete(config):
    """The "model" of config.json with what it leaves out."""
    config = {**DEFAULTS, **config}
    if config["mlp_width"] == 0:
        width = config["width"]
        config["mlp_width"] = (8 * width // 3 + 15) // 16 * 16 if config["mlp"] == "swiglu" else 4 * width
    return config


class Norm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.rms, self.eps = config["norm"] == "rmsnorm", config["norm_eps"]
        self.weight = nn.Parameter(torch.ones(config["width"]))
        with_bias = config["bias"] and not self.rms
        self.bias = nn.Parameter(torch.zeros(config["width"])) if with_bias else None

    def forward(self, x):
        if not self.rms:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        if hasattr(F, "rms_norm"):
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, bias = config["width"], config["bias"]
        self.heads, self.causal, self.dropout = config["heads"], config["objective"] == "ar", config["dropout"]
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def split(self, x, turns):
        """Queries, keys, values: (B, NH, T, HS) each."""
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        return (q, k, v) if turns is None else (rotate(q, turns), rotate(k, turns), v)

    def merge(self, y):
        return self.out(y.transpose(1, 2).flatten(2))

    def forward(self, x, turns, seen):
        q, k, v = self.split(x, turns)
        y = attend(q, k, v, seen, self.causal and seen is None, self.dropout if self.training else 0.0)
        if seen is not None:  # a position past its row's end gets nothing
            y = y * (seen[:, :, -1:].transpose(-2, -1) == 0)
        return self.merge(y)


def attend(q, k, v, seen=None, causal=False, dropout=0.0):
    """seen: added to the scores, 0 or a large negative number. causal: a query sees its own key and those before."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout, is_causal=causal)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if seen is not None:
        scores = scores + seen
    elif causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    return F.dropout(scores.softmax(-1), dropout) @ v


def seen_within(lengths, T, causal):
    """(B, 1, T, T): 0 where a position sees another, else a large negative number. For padded rows."""
    position = torch.arange(T)
    seen = (position < lengths[:, None])[:, None, None, :].expand(-1, 1, T, T)
    if causal:
        seen = seen & (position <= position[:, None])
    return torch.zeros(seen.shape).masked_fill(~seen, -1e30)


def rotate(x, turns):  # x (B, NH, T, HS), turns: cosine and sine (T, HS/2)
    u, w = x.chunk(2, dim=-1)
    cosine, sine = (part.to(x.dtype) for part in turns)
    return torch.cat([u * cosine - w * sine, w * cosine + u * sine], dim=-1)


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner, bias = config["width"], config["mlp_width"], config["bias"]
        self.kind = config["mlp"]  # "gelu", without an approximation, is nanoGPT's: not a kind of masque's
        self.up = nn.Linear(width, 2 * inner if self.kind == "swiglu" else inner, bias=bias)
        self.down = nn.Linear(inner, width, bias=bias)

    def forward(self, x):
        x = self.up(x)
        if self.kind == "swiglu":
            gate, value = x.chunk(2, dim=-1)
            return self.down(F.silu(gate) * value)
        return self.down(F.gelu(x, approximate="none" if self.kind == "gelu" else "tanh"))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm1, self.attn = Norm(config), Attention(config)
        self.norm2, self.mlp = Norm(config), Mlp(config)
        self.dropout = config["dropout"]

    def forward(self, x, turns, seen):
        x = x + F.dropout(self.attn(self.norm1(x), turns, seen), self.dropout, self.training)
        return x + F.dropout(self.mlp(self.norm2(x)), self.dropout, self.training)


class Model(nn.Module):
    """config: complete(…) of config.json's "model", with "vocab_size"."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config["vocab_size"], config["width"])
        learned = config["position"] == "learned"
        self.wpe = nn.Embedding(config["context"], config["width"]) if learned else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config["layers"]))
        self.norm = Norm(config)
        self.head = None
        if not config["tied"]:
            self.head = nn.Linear(config["width"], config["vocab_size"], bias=False)
        if not learned:
            half = config["width"] // config["heads"] // 2
            rate = config["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
            angle = torch.arange(config["context"], dtype=torch.float64)[:, None] * rate
            self.register_buffer("cosine", angle.cos().float(), persistent=False)
            self.register_buffer("sine", angle.sin().float(), persistent=False)
        self.initialise()

    def initialise(self, std=0.02):
        """GPT-2's: normal, what ends on the residual stream smaller by the root of their number."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                residual = name.endswith(("attn.out.weight", "mlp.down.weight"))
                nn.init.normal_(parameter, std=std / math.sqrt(2 * len(self.blocks)) if residual else std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, ids, lengths=None):  # lengths (B): of padded rows; None: all are full
        T = ids.shape[1]
        x, turns = self.embed(ids, slice(T))
        x = F.dropout(x, self.config["dropout"], self.training)
        seen = None if lengths is None else seen_within(lengths, T, self.config["objective"] == "ar")
        for block in self.blocks:
            x = block(x, turns, seen)
        return self.logits(x)

    def embed(self, ids, positions):
        """(B, T, C) and, with rope, what turns queries and keys. positions: T numbers, or a slice."""
        x = self.wte(ids)
        if self.wpe is not None:
            return x + self.wpe.weight[positions], None
        return x, (self.cosine[positions], self.sine[positions])

    def logits(self, x):
        return F.linear(self.norm(x), self.wte.weight if self.head is None else self.head.weight)


def masked(tokens, epsilon=1e-3):
    """LLaDA's corruption with stratified t: (inputs, weights), weights 1/(n t) where masked, else 0."""
    B, T = tokens.shape
    row = torch.arange(B, device=tokens.device)[:, None]
    u = (row + torch.rand(1, 1, device=tokens.device)) / B
    t = epsilon + (1 - epsilon) * u
    mask = torch.rand(B, T, device=tokens.device) < t
    return torch.where(mask, MASK, tokens), mask / (t * (B * T))


def weighted_loss(logits, targets, weights=None, exclude=False):
    """The sum over positions of weight times nll; without weights the mean. exclude: special tokens count as −∞."""
    logits, targets = logits.float().flatten(0, 1), targets.flatten()
    if exclude:  # the last ones are no targets but of padding, which weighs nothing
        logits, targets = logits[:, SPECIALS:], targets - SPECIALS
    reduction = "mean" if weights is None else "none"
    nll = F.cross_entropy(logits, targets, reduction=reduction, ignore_index=PAD - SPECIALS if exclude else -100)
    return nll if weights is None else (nll * weights.flatten()).sum()


def decay_groups(model, decay):
    """Only matrices decay, embeddings among them."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


def cosine_rate(step, steps, warmup, lr, min_lr):
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    progress = min(1, (step - warmup) / (steps - warmup))
    return min_lr + 0.5 * (1 + math.cos(math.pi * progress)) * (lr - min_lr)
