#!/usr/bin/env python3
"""Runs what README and docs tell a reader to type, in the order of each document.

    tests/docs_test.py BUILD [DOCUMENT...]

In code blocks: every line that begins with "masque" and a subcommand, in a folder of its own, with a
text put together from the documents and models made small; masque-gradcheck as it stands. Of other
programs (scripts, cmake) and of commands within sentences, that the program, target, preset and every
--option exist. In a line of code three spaces begin a remark; R, D and P stand for a run, a text and a
preset, a|b for either, and [..] is left out. Ends with "N passed, N failed".
"""

import functools
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STANDS_FOR = {"R": "runs/r", "D": "tinyshakespeare.txt", "P": "tiny"}
SMALL = "layers=1 heads=1 width=16 context=64 batch=2 steps=4 warmup=1 eval_every=2 eval_windows=2 eval_draws=2"
NEEDS_NETWORK = re.compile(r"^masque data fetch")


def code_and_sentences(document):
    """(line number, line, whether in a code block) of a document."""
    fenced = False
    for number, line in enumerate(document.read_text().split("\n"), 1):
        if line.startswith("```"):
            fenced = not fenced
            continue
        yield number, line, fenced or line.startswith("    ")


def plain(line):
    """A line of code as a shell takes it: without remark, its notation filled in."""
    command = re.split(r"\s{3,}", line.strip())[0]
    command = re.sub(r"\s*\[--[^\]]*\]", "", command)
    words = []
    for word in command.split(" "):
        word = STANDS_FOR.get(word, word)
        if re.fullmatch(r"[\w-]+(\|[\w-]+)+", word):
            word = word.split("|")[0]
        words.append(re.sub(r"^(\d+)…\d+$", r"\1", word))
    return " ".join(words)


def made_small(command):
    """The same command on models and samples that take a second."""
    subcommand = command.split()[1]
    if subcommand == "train" and "--dry-run" not in command:
        command = re.sub(r" --steps \d+", "", command)
        command = re.sub(r" --set ", f" --set {SMALL} ", command) if " --set " in command \
            else f"{command} --set {SMALL}"
    elif subcommand == "compare":
        command = re.sub(r" --budget \w+", "", command)
        command = re.sub(r" --epochs \S+", " --epochs 1", command)
        if "--runs" not in command:
            command += f" --set {SMALL.replace('context=64', 'context=16')}"
            command += "" if "--study" in command else " --seeds 1 --without quality,chains,ablations"
    elif subcommand == "quality":
        command = re.sub(r" --n \d+", "", command) + " --n 8"
    elif subcommand == "eval":
        command = re.sub(r" --draws \d+", " --draws 2", re.sub(r" --windows \d+", "", command)) + " --windows 4"
    elif "--interactive" in command:
        command += " < prompts.txt"
    return command.replace("| jq", "| cat #")


def runs_named(command):
    """The runs that a command reads: it may follow others that a document does not repeat."""
    words = command.split()
    if words[1] in ("train", "data"):
        return []
    if words[1] == "runs" and len(words) > 2 and not words[2].startswith("-"):
        return [words[2] + "/llada"]
    return re.findall(r"(?<= )(?:out/)?runs/[\w-]+", command)


def missing_options(command, known):
    options = re.findall(r"(?:^|(?<=[\s\[]))--[a-z][\w-]*", command)
    return [o for o in options if not re.search(rf"{re.escape(o)}(?![\w-])", known)]


class Reader:
    """Somebody who types what the documents say."""

    def __init__(self, build):
        self.build = build
        self.environment = dict(os.environ, PATH=f"{build / 'apps'}:{os.environ['PATH']}",
                                OMP_NUM_THREADS="1", MASQUE_DATA_DIR="")
        self.passed = 0
        self.failed = 0
        self.unrun = []
        self.text = "\n".join(d.read_text() for d in documents())[:60000]
        self.subcommands = re.findall(r"^  (\w+) ", self.run("masque --help", build).stdout, re.M)
        self.cmake = "\n".join((ROOT / f / "CMakeLists.txt").read_text() for f in (".", "apps", "tests", "bench"))
        self.presets = (ROOT / "CMakePresets.json").read_text()

    def run(self, command, folder, limit=120):
        return subprocess.run(["bash", "-c", command], cwd=folder, env=self.environment, timeout=limit,
                              capture_output=True, text=True)

    @functools.cache
    def help_of(self, subcommand):
        within = ["", "fetch", "info", "synth"] if subcommand == "data" else [""]
        return "".join(self.run(f"masque {subcommand} {word} --help", self.build).stdout for word in within)

    def count(self, place, command, why):
        """A command that passed, or failed for a reason."""
        if why:
            self.failed += 1
            print(f"FAIL {place}: {command}\n  {why}", flush=True)
        else:
            self.passed += 1

    def type_in(self, command, folder):
        """Why a command failed, or nothing."""
        for seed, run in enumerate(runs_named(command), 1):
            if (folder / run).exists():
                continue
            objective = "ar" if "/ar" in run else "llada"
            made = self.run(f"masque train {run} --objective {objective} --data tinyshakespeare.txt --seed {seed} "
                            f"--set ema=0.5 {SMALL}", folder)
            if made.returncode != 0:
                return f"its run {run} could not be made: {made.stderr}"
        small = made_small(command)
        if command.startswith(("masque train ", "masque compare ")):
            shutil.rmtree(folder / command.split()[2], ignore_errors=True)  # of an earlier command
        result = self.run(small, folder)
        return result.returncode and f"as {small}\n  exit {result.returncode}: {result.stderr[-1000:]}"

    def type_in_vain(self, command, wanted, folder):
        """The same of one that the document shows with its error."""
        result = self.run(command, folder)
        refused = result.returncode != 0 and wanted in result.stderr
        return not refused and f"did not say: {wanted}\n  but: {result.stderr}"

    def look_at(self, command):
        """Of another program's command: what it names and there is not, or nothing."""
        words = command.replace("python3 ", "", 1).split()
        if "/" in words[0] and not words[0].startswith(("build/", "/")):
            script = ROOT / words[0]
            if not script.is_file():
                return f"there is no {words[0]}"
            sources = [script.with_suffix(".py"), script]  # a .sh may only start the .py beside it
            missing = missing_options(command, "".join(s.read_text() for s in sources if s.is_file()))
        else:
            missing = [t for t in re.findall(r"--target (\S+)", command)
                       if not re.search(rf"add_\w+\({t}\b", self.cmake)]
            missing += [p for p in re.findall(r"--preset (\S+)", command) if f'"name": "{p}"' not in self.presets]
            missing += [t for t in re.findall(r"build/\w+/\w+/([\w-]+)", command)
                        if not re.search(rf"add_executable\({t}\b", self.cmake)]
        return missing and f"there is no {', '.join(missing)}"

    def read_code(self, place, line, after, folder):
        command = plain(line)
        if NEEDS_NETWORK.match(command):
            self.unrun.append(f"{place}: {command}")
        elif re.match(rf"masque ({'|'.join(self.subcommands)})\b", command):
            # A document may show an error on purpose: what the program says stands on the next line.
            if after.startswith("masque: "):
                self.count(place, command, self.type_in_vain(command, after, folder))
            else:
                self.count(place, command, self.type_in(command, folder))
        elif command.startswith("build/cpu/tests/masque-gradcheck"):
            result = self.run(command.replace("build/cpu", str(self.build), 1), folder, 300)
            self.count(place, command, result.returncode and f"exit {result.returncode}: {result.stderr[-1000:]}")
        elif re.match(r"(python3 )?(bench|tests|apps|build)/|cmake --preset", command):
            self.count(place, command, self.look_at(command))

    def read_sentences(self, place, text):
        for subcommand, rest in re.findall(r"`masque (\w+)((?:\s[^`]*)?)`", text):
            if subcommand in self.subcommands:
                missing = missing_options(rest, self.help_of(subcommand))
                self.count(place, f"masque {subcommand}{rest}", missing and f"has no {', '.join(missing)}")
            else:
                self.count(place, f"masque {subcommand}", "there is no such subcommand")

    def read(self, document, folder):
        (folder / "tinyshakespeare.txt").write_text(self.text)
        (folder / "small.txt").write_text("To be, or not to be. " * 25)
        (folder / "prompts.txt").write_text("ROMEO:\n")
        for code, group in itertools.groupby(code_and_sentences(document), key=lambda line: line[2]):
            block = list(group)
            first = f"{document.relative_to(ROOT)}:{block[0][0]}"
            if not code:
                self.read_sentences(first, "\n".join(line for _, line, _ in block))
                continue
            afters = [line.strip() for _, line, _ in block[1:]] + [""]
            for (number, line, _), after in zip(block, afters):
                self.read_code(f"{document.relative_to(ROOT)}:{number}", line, after, folder)


def documents():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    reader = Reader(Path(sys.argv[1]).resolve())
    for document in [Path(d).resolve() for d in sys.argv[2:]] or documents():
        with tempfile.TemporaryDirectory(prefix="masque-docs-") as folder:
            reader.read(document, Path(folder))
    for command in reader.unrun:
        print(f"not run, for want of a network: {command}")
    print(f"{reader.passed} passed, {reader.failed} failed")
    sys.exit(1 if reader.failed or not reader.passed else 0)


if __name__ == "__main__":
    main()
