#!/usr/bin/env python3
"""The preset nanogpt-cpu in PyTorch: what nanoGPT's CPU setting gives, to hold masque's number against.

    python3 bench/peer_nanogpt.py data/tinyshakespeare.txt --seed 1

nanoGPT's setting on a CPU: 4 layers, 4 heads, width 128, context 64, batch 12, 2000 steps, no dropout, no biases,
tied head, scaled residual initialisation, AdamW 1e-3 to 1e-4 (beta2 0.99, decay 0.1 on matrices), warm-up 100, clip 1,
split 0.9/0.1, random crops. Prints at each evaluation the loss on 20 random batches (nanoGPT's estimate) and on the whole
val split in windows of 64. Needs PyTorch 1.13 or later; minutes on two cores.
"""

import argparse
import math
import pathlib
import time

import torch
import torch.nn.functional as F
from torch import nn

LAYERS, HEADS, WIDTH, CONTEXT, BATCH = 4, 4, 128, 64, 12
STEPS, WARMUP, LR, MIN_LR, EVAL_EVERY, EVAL_BATCHES = 2000, 100, 1e-3, 1e-4, 250, 20


class LayerNorm(nn.Module):  # without a bias, which torch 1.13's cannot leave out
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return F.layer_norm(x, (WIDTH,), self.weight)


def matrix(inputs, outputs, std=0.02):
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=std)
    return linear


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        residual_std = 0.02 / math.sqrt(2 * LAYERS)
        self.norm1, self.norm2 = LayerNorm(), LayerNorm()
        self.qkv = matrix(WIDTH, 3 * WIDTH)
        self.attention_out = matrix(WIDTH, WIDTH, residual_std)
        self.mlp_in = matrix(WIDTH, 4 * WIDTH)
        self.mlp_out = matrix(4 * WIDTH, WIDTH, residual_std)

    def forward(self, x):
        B, T, _ = x.shape
        q, k, v = (
            part.view(B, T, HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(WIDTH, dim=2)
        )
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        scores = q @ k.transpose(-2, -1) / math.sqrt(WIDTH // HEADS)
        attended = scores.masked_fill(future, float("-inf")).softmax(-1) @ v
        x = x + self.attention_out(attended.transpose(1, 2).reshape(B, T, WIDTH))
        return x + self.mlp_out(F.gelu(self.mlp_in(self.norm2(x))))


class Model(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, WIDTH)  # also the head
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = LayerNorm()

    def loss(self, sequences):  # (B, T + 1)
        x = self.tokens(sequences[:, :-1]) + self.positions.weight
        logits = self.norm(self.blocks(x)) @ self.tokens.weight.T
        return F.cross_entropy(logits.flatten(0, 1), sequences[:, 1:].flatten())


def random_batch(text):
    starts = torch.randint(len(text) - CONTEXT, (BATCH,))
    return torch.stack([text[i : i + CONTEXT + 1] for i in starts])


def rate(step):
    if step < WARMUP:
        return LR * step / WARMUP
    progress = (step - WARMUP) / (STEPS - WARMUP)
    return MIN_LR + 0.5 * (1 + math.cos(math.pi * progress)) * (LR - MIN_LR)


@torch.no_grad()
def sampled_loss(model, text):
    return sum(model.loss(random_batch(text)).item() for _ in range(EVAL_BATCHES)) / EVAL_BATCHES


@torch.no_grad()
def whole_loss(model, text):
    windows = text.unfold(0, CONTEXT + 1, CONTEXT)
    return sum(model.loss(part).item() * len(part) for part in windows.split(128)) / len(windows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)

    text = options.text.read_text(encoding="utf-8")
    ids = {character: i for i, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([ids[character] for character in text])
    cut = int(0.9 * len(tokens))
    train, val = tokens[:cut], tokens[cut:]

    model = Model(len(ids))
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.99))
    start = time.time()
    for step in range(STEPS + 1):
        if step % EVAL_EVERY == 0:
            print(
                f"step {step:5}  train {sampled_loss(model, train):.4f}  val {sampled_loss(model, val):.4f}"
                f"  whole val {whole_loss(model, val):.4f}  {time.time() - start:.0f} s",
                flush=True,
            )
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.zero_grad()
        model.loss(random_batch(train)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


if __name__ == "__main__":
    main()
