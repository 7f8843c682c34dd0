"""masque's generation in PyTorch, at temperature 0: of bench/compare_pytorch.py.

AR with a preallocated key-value cache, LLaDA by the strategy low_confidence (models/strategy.h). Special tokens are
never produced. compile: wraps what runs once a step.
"""

import torch

import peer_model


def best(logits):
    """Most probable tokens, and their probabilities at temperature 1."""
    probability, token = logits.float()[..., peer_model.SPECIALS :].softmax(-1).max(-1)
    return token + peer_model.SPECIALS, probability


class Autoregressive:
    """Every row goes on from the same prompt: ids (B, prompt + length).

    whole: attends to the whole cache under a mask, so that the shapes of all steps are alike, as a compiler wants;
    else to what is written.
    """

    def __init__(self, model, B, length, compile=None):
        config = model.config
        self.model, self.length, self.whole = model, length, compile is not None
        weight = model.wte.weight
        shape = (B, config["heads"], config["context"], config["width"] // config["heads"])
        self.caches = [(weight.new_zeros(shape), weight.new_zeros(shape)) for _ in model.blocks]
        future = torch.ones(config["context"], config["context"], dtype=torch.bool).triu(1)
        self.seen = torch.zeros(future.shape, dtype=weight.dtype).masked_fill(future, float("-inf"))
        self.next = compile(self.read) if compile else self.read

    def read(self, ids, positions, past):
        """ids (B, n) at `positions`, of which `past` come before → the next tokens (B, 1)."""
        model = self.model
        x, turns = model.embed(ids, positions)
        for block, (keys, values) in zip(model.blocks, self.caches):
            q, k, v = block.attn.split(block.norm1(x), turns)
            keys.index_copy_(2, positions, k)
            values.index_copy_(2, positions, v)
            if self.whole:
                y = peer_model.attend(q, keys, values, self.seen[positions])
            else:
                here = past + ids.shape[1]
                y = peer_model.attend(q, keys[:, :, :here], values[:, :, :here], causal=past == 0)
            x = x + block.attn.merge(y)
            x = x + block.mlp(block.norm2(x))
        logits = model.logits(x[:, -1:])
        return logits[..., peer_model.SPECIALS :].argmax(-1) + peer_model.SPECIALS

    def generate(self, prompt):
        B, given = prompt.shape
        ids = torch.empty(B, given + self.length, dtype=torch.long)
        ids[:, :given] = prompt
        positions = torch.arange(given + self.length)
        token = self.read(prompt, positions[:given], 0)
        ids[:, given] = token[:, 0]
        for i in range(given, given + self.length - 1):
            token = self.next(token, positions[i : i + 1], 0 if self.whole else i)
            ids[:, i + 1] = token[:, 0]
        return ids


class MaskedDiffusion:
    """ids (B, T), [MASK] where a token is wanted: the same number in every row."""

    def __init__(self, model, steps, compile=None):
        self.model, self.steps = model, steps
        self.next = compile(self.step) if compile else self.step

    def step(self, ids, count):
        token, confidence = best(self.model(ids))
        masked = ids == peer_model.MASK
        chosen = torch.where(masked, confidence, -1.0).topk(count, dim=-1, sorted=False).indices
        return ids.scatter(1, chosen, token.gather(1, chosen))

    def generate(self, start):
        ids, masks = start, int((start[0] == peer_model.MASK).sum())
        steps = self.steps or masks
        for step in range(steps):
            count = masks // steps + (step < masks % steps)
            if count > 0:
                ids = self.next(ids, count)
        return ids
