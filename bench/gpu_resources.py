#!/usr/bin/env python3
"""Registers, spills, static shared memory and stack of every shipped kernel, from ptxas.

    cmake --build --preset cuda --target gpu-resources
    python3 bench/gpu_resources.py build/cuda docs/gpu-resources.md
    python3 bench/gpu_resources.py build/gpu-check docs/gpu-resources.md --log build/logs/gpu-pack.log

Compiles each kernels/*.cu once more, with the build's own command and -Xptxas=-v, and reads what ptxas says; or reads
the log of a build from nothing that had -Xptxas=-v, as the preset gpu-check has. Writes
the table as Markdown, and fails where a kernel spills: a spill is a loop too wide or a bound too tight, never free.
"""

import argparse
import collections
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

BUILDING = re.compile(r"^\[\d+/\d+\] (?:Building CUDA object \S*kernels/(\S+\.cu)\.o)?")
ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\S+)'")
PROPERTIES = re.compile(r"Function properties for (\S+)")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")

Usage = collections.namedtuple("Usage", "registers stack spilled shared")


def compile_again(entry, folder):
    """What the compiler says of one .cu file, and its exit status."""
    arguments = shlex.split(entry["command"])
    arguments[arguments.index("-o") + 1] = str(folder / (pathlib.Path(entry["file"]).name + ".o"))
    if "-Xptxas=-v" not in arguments:
        arguments.insert(1, "-Xptxas=-v")
    done = subprocess.run(arguments, cwd=entry["directory"], capture_output=True, text=True)
    return done.stdout + done.stderr, done.returncode


def compile_all(entries, jobs):
    """{file: what the compiler said of it}; ends the program where one does not compile."""
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(lambda entry: compile_again(entry, pathlib.Path(folder)), entries))
    names = [pathlib.Path(entry["file"]).name for entry in entries]
    if failed := [f"{name} does not compile:\n{text}" for name, (text, status) in zip(names, results) if status]:
        sys.exit("\n".join(failed))
    return {name: text for name, (text, _) in zip(names, results)}


def read_usage(text):
    """{(mangled kernel, architecture): Usage}. Functions that kernels call are not kernels: left out."""
    usages, kernel, function, stack, spilled = {}, None, None, 0, 0
    for line in text.splitlines():
        if match := ENTRY.search(line):
            kernel, function, stack, spilled = match.groups(), None, 0, 0
        elif match := PROPERTIES.search(line):
            function = match.group(1)
        elif (match := STACK.search(line)) and kernel and function == kernel[0]:
            stack, spilled = int(match.group(1)), int(match.group(2)) + int(match.group(3))
        elif (match := USED.search(line)) and kernel:
            shared = SHARED.search(line)
            usages[kernel] = Usage(int(match.group(1)), stack, spilled,
                                   int(shared.group(1)) if shared else 0)
            kernel = None
    return usages


def read_log(text):
    """{file: what the compiler said of it}, of ninja's output."""
    said, file = collections.defaultdict(list), None
    for line in text.splitlines():
        if match := BUILDING.search(line):
            file = match.group(1)
        elif file:
            said[file].append(line)
    return {file: "\n".join(lines) for file, lines in said.items()}


def demangled(names):
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return dict(zip(names, done.stdout.splitlines()))


def without_parameters(name):
    """The name of a demangled function, with its template arguments."""
    name = name.replace("(anonymous namespace)::", "").replace("masque::", "")
    depth, end = 0, len(name)
    for i, character in enumerate(name):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "(" and depth == 0:
            end = i
            break
    name = name[:end].removeprefix("void ")
    name = re.sub(r"\((?:int|unsigned int|bool|NormKind)\)", "", name)
    return re.sub(r"__nv_bfloat16", "bf16", name)


def write_table(rows, architectures, compiler, path):
    """rows: [(file, kernel, {architecture: Usage})]."""
    heads = ["file", "kernel"]
    for architecture in architectures:
        heads += [f"{architecture} registers", "spills", "stack", "shared"]
    lines = [
        "# What the kernels use", "",
        "Registers a thread; bytes of spills, stack and static shared memory (dynamic shared memory is the launch's). By",
        f"`cmake --build --preset cuda --target gpu-resources`, {compiler}, {datetime.date.today()}.", "",
        "| " + " | ".join(heads) + " |", "|---|---|" + "--:|" * (len(heads) - 2)]
    last = None
    for file, kernel, usages in rows:
        cells = [file if file != last else "", f"`{kernel}`"]
        for architecture in architectures:
            usage = usages.get(architecture)
            cells += ["–"] * 4 if usage is None else [
                str(n) for n in (usage.registers, usage.spilled, usage.stack, usage.shared)]
        lines.append("| " + " | ".join(cells) + " |")
        last = file
    path.write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="a build folder of the preset cuda")
    parser.add_argument("table", type=pathlib.Path, help="Markdown file to write")
    parser.add_argument("--log", type=pathlib.Path, help="of a build with -Xptxas=-v: compiles nothing")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    commands = json.loads((options.build / "compile_commands.json").read_text())
    shipped = [e for e in commands if pathlib.Path(e["file"]).suffix == ".cu"
               and pathlib.Path(e["file"]).parent.name == "kernels"]
    if not shipped:
        sys.exit(f"{options.build}: no kernels/*.cu in compile_commands.json: not a build with the CUDA backend")
    shipped.sort(key=lambda e: e["file"])
    compiler = next(a for a in shlex.split(shipped[0]["command"]) if a.endswith("nvcc"))
    version = re.search(r"release \S+ V(\S+)", subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True).stdout)

    files = [pathlib.Path(entry["file"]).name for entry in shipped]
    said = read_log(options.log.read_text()) if options.log else compile_all(shipped, options.jobs)
    if missing := sorted(set(files) - set(said)):
        sys.exit(f"{options.log}: does not tell of {', '.join(missing)}: not the log of a build from nothing")
    found = {}
    for name in files:
        for (kernel, architecture), usage in read_usage(said[name]).items():
            found.setdefault((name, kernel), {})[architecture] = usage
    if not found:
        sys.exit("ptxas said nothing of any kernel: was -Xptxas=-v given?")
    names = demangled(sorted({kernel for _, kernel in found}))
    rows = sorted((file, without_parameters(names[kernel]), usages)
                  for (file, kernel), usages in found.items())
    architectures = sorted({a for usages in found.values() for a in usages})
    write_table(rows, architectures, f"nvcc {version.group(1)}", options.table)
    spilling = [f"{file} {kernel}: {usage.spilled} bytes on {architecture}"
                for file, kernel, usages in rows for architecture, usage in usages.items()
                if usage.spilled > 0]
    print(f"{len(rows)} kernels on {', '.join(architectures)}: {options.table}")
    if spilling:
        sys.exit("spills:\n" + "\n".join(spilling))


if __name__ == "__main__":
    main()
