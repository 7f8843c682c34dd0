#!/usr/bin/env python3
"""Kills trainings at random moments, resumes them, and holds what they end with to the bits of
trainings that nobody disturbed.

    tests/soak.py                      50 kills, about a minute
    tests/soak.py --kills 1000         as many as wanted
    tests/soak.py --masque PROGRAM     default build/cpu/apps/masque

Small models that save at every step, so that most kills hit a save; both objectives, one and two
threads by turns. Compared are the checkpoints that best and last name, byte by byte, and
metrics.jsonl but for the clock. The exit code is 0 where all were equal; where one was not, its
folder stays and is named. Needs Python 3.8.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = 200
KEYS = (f"layers=1 heads=2 width=16 context=16 batch=4 accumulation=2 dropout=0.1 ema=0.9 "
        f"steps={STEPS} warmup=5 log_every=5 eval_every=20 save_every=1 keep=2 eval_windows=4 "
        f"eval_draws=2").split()
CLOCK = ("seconds", "tokens_per_second")
FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "manifest.json")


class Failure(Exception):
    """What the user should read, without a traceback."""


def start(masque, arguments, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), GOMP_SPINCOUNT="10000")
    return subprocess.Popen([masque, "train", *arguments], env=environment,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def training(folder, objective, seed, text):
    return [str(folder), "--objective", objective, "--data", str(text), "--preset", "tiny",
            "--seed", str(seed), "--set", *KEYS]


def what_differs(a, b):
    """The first thing in which two runs differ, or None."""
    for link in ("best", "last"):
        links = [os.readlink(run / "checkpoints" / link) for run in (a, b)]
        if links[0] != links[1]:
            return f"{link}: {links[0]} and {links[1]}"
        for name in FILES:
            one, other = ((run / "checkpoints" / link / name).read_bytes() for run in (a, b))
            if one != other:
                return f"checkpoints/{link}/{name}"
    logs = []
    for run in (a, b):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        logs.append([{k: v for k, v in line.items() if k not in CLOCK} for line in lines])
    return None if logs[0] == logs[1] else "metrics.jsonl"


class Soak:
    def __init__(self, masque, seed, folder):
        self.masque, self.folder, self.random = masque, folder, random.Random(seed)
        self.kills = self.in_saves = self.rounds = 0
        self.text = folder / "text.txt"
        subprocess.run([masque, "data", "synth", str(self.text), "--chars", "3000", "--seed", "1"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def undisturbed(self, objective, seed):
        run = self.folder / f"whole-{objective}-{seed}"
        if not run.exists():
            process = start(self.masque, training(run, objective, seed, self.text), 2)
            error = process.communicate()[1]
            if process.returncode != 0:
                raise Failure(f"undisturbed training failed: {error}")
        return run

    def kill_until_done(self, run, objective, seed):
        while True:
            begun = any(run.glob("checkpoints/step_*"))
            if not begun:
                shutil.rmtree(run, ignore_errors=True)
            arguments = ([str(run), "--resume"] if begun
                         else training(run, objective, seed, self.text))
            process = start(self.masque, arguments, 1 + self.kills % 2)
            time.sleep(self.random.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            error = process.communicate()[1]
            if process.returncode == -signal.SIGKILL:
                self.kills += 1
                self.in_saves += any(run.glob("checkpoints/.step_*"))
            elif process.returncode == 0 or f"its {STEPS} steps are done" in error:
                return
            else:
                raise Failure(f"after {self.kills} kills, {run}: exit code "
                              f"{process.returncode}: {error}")

    def round(self):
        objective = ("llada", "ar")[self.rounds % 2]
        seed = self.rounds % 4
        whole = self.undisturbed(objective, seed)
        run = self.folder / "killed"
        self.kill_until_done(run, objective, seed)
        difference = what_differs(whole, run)
        if difference:
            raise Failure(f"after {self.kills} kills, {run} is not as {whole}: {difference}")
        shutil.rmtree(run)
        self.rounds += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--masque", default=str(ROOT / "build/cpu/apps/masque"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="masque-soak-"))
    soak = Soak(options.masque, options.seed, folder)
    while soak.kills < options.kills:
        soak.round()
        print(f"{soak.kills} kills, {soak.in_saves} within a save; {soak.rounds} runs, all equal "
              f"to undisturbed ones", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"soak: {failure}")
