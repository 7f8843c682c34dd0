#!/usr/bin/env python3
"""Plants bugs in the CUDA backend, one at a time, and tells which the tests catch.

    tests/mutation/run.py all                 every bug that has no result yet
    tests/mutation/run.py quick               a third of them: some of every file and operator
    tests/mutation/run.py adamw.cu            those of a file
    tests/mutation/run.py adamw.cu:finite     one, with what the tests said
    tests/mutation/run.py --list [WHICH]      the bugs: operator, what is wrong, where, what tests
    tests/mutation/run.py --table [WHICH]     the results so far
    tests/mutation/run.py --summary [WHICH]   how many were run and caught: by file, and by what

The list is tests/mutation/mutants.py. A bug is planted in a copy of the tree (build/mutation/tree,
with a build of its own, preset emulate), never in the tree itself. Then masque-tests is built and
the named test files are run on it, under AddressSanitizer and UBSan, until the first failure. A bug
that does not compile is an error of the list, and so is a text that its file does not hold exactly
once: nothing runs before the list is right. Those with the quickest tests come first. --list names
kernel files without a bug.

Results go to build/mutation/results.json one by one, so that a run that was cut off goes on. A
result is out of date, and its bug planted again, once its file or one of its test files changes; a
change elsewhere needs --fresh. Several runs may go on at once, each with --tree NAME of its own.
The exit code is 0 where all were caught. Needs Python 3.8 and what the emulate preset needs; uses
ccache and a fast linker where they are installed.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mutants import MUTANTS, QUICK

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutation"
TREE = WORK / "tree"  # --tree names another
RESULTS = WORK / "results.json"
QUICK_NAMES = {f"{file}:{name}" for file in QUICK for name in QUICK[file].split()}
ALL_GPU_TESTS = "[gpu]~[slow],[emulated]~[slow]"
LEAST_LIMIT = 60  # seconds that a run may take, at least
SLOWER = 6  # times as long as without a bug, at most


class Failure(Exception):
    """What the user should read, without a traceback."""


def select(names):
    if not names or names == ["all"]:
        return list(MUTANTS)
    if names == ["quick"]:
        return [m for m in MUTANTS if m.name in QUICK_NAMES]
    chosen = []
    for name in names:
        found = [m for m in MUTANTS if name in (m.name, m.file, m.file.rsplit("/", 1)[1])]
        if not found:
            raise Failure(f"{name}: no bug and no file of the list; --list shows them")
        chosen += [m for m in found if m not in chosen]
    return chosen


def check_list(chosen):
    """Failure where the list is no longer true of the tree, or tests of `chosen` are missing."""
    wrong, names = [], set()
    for mutant in MUTANTS:
        path = ROOT / mutant.file
        count = path.read_text().count(mutant.old) if path.is_file() else 0
        if count != 1:
            wrong.append(f"{mutant.name}: {mutant.file} holds its text {count} times, not once")
        if mutant.name in names or mutant.old == mutant.new:
            wrong.append(f"{mutant.name}: listed twice, or changes nothing")
        names.add(mutant.name)
    wrong += [f"QUICK names {name}, which is not listed" for name in QUICK_NAMES - names]
    for test in sorted({test for mutant in chosen for test in mutant.tests.split()}):
        if not test_file(test):
            wrong.append(f"there is no tests/*/{test}.cpp")
    if wrong:
        raise Failure("\n".join(wrong) + "\nmend tests/mutation/mutants.py")


def files_without_bugs():
    kernels = sorted((ROOT / "kernels").glob("*.cu*"))
    files = [path.relative_to(ROOT).as_posix() for path in kernels]
    return [file for file in files if file not in {mutant.file for mutant in MUTANTS}]


def test_file(name):
    return next((ROOT / "tests").glob(f"*/{name}.cpp"), None)


def fingerprint(mutant):
    """Of all that a result is known to depend on."""
    parts = [mutant.old, mutant.new, mutant.tests, (ROOT / mutant.file).read_text()]
    parts += [test_file(test).read_text() for test in mutant.tests.split()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def load_results():
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


def change_results(change):
    """change(results) on the file, alone among runs."""
    with open(WORK / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        results = load_results()
        change(results)
        temporary = RESULTS.with_suffix(".new")
        text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False)
        temporary.write_text(text + "\n")
        temporary.replace(RESULTS)


def copy_tree():
    """Makes the copy equal to the tree; files that are equal keep their time, for the build."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE,
    ).stdout.decode()
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for name in names:
        source, target = ROOT / name, TREE / name
        content = source.read_bytes()
        if target.is_file() and target.read_bytes() == content:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        shutil.copymode(source, target)
    for path in list(TREE.rglob("*")):
        name = path.relative_to(TREE).as_posix()
        if path.is_file() and not name.startswith("build/") and name not in names:
            path.unlink()


def environment():
    env = dict(os.environ)
    env.setdefault("GOMP_SPINCOUNT", "10000")
    if shutil.which("ccache"):
        env.setdefault("CMAKE_CXX_COMPILER_LAUNCHER", "ccache")
        env.update(CCACHE_BASEDIR=str(TREE), CCACHE_NOHASHDIR="1")
    return env


def configure():
    command = ["cmake", "--preset", "emulate"]
    linker = next((name for name in ("mold", "lld", "gold") if shutil.which("ld." + name)), None)
    if linker:
        command.append(f"-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld={linker}")
    done = subprocess.run(command, cwd=TREE, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise Failure(f"{done.stdout}\n{' '.join(command)}: failed in {TREE}")


def build(jobs):
    """Returns what the compiler said where it failed, else None."""
    done = subprocess.run(
        ["cmake", "--build", "--preset", "emulate", "-j", str(jobs), "--target", "masque-tests"],
        cwd=TREE, env=environment(), text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    return None if done.returncode == 0 else done.stdout


def filter_of(tests):
    return ",".join(f"[#{name}]~[slow]" for name in tests.split())


def run_tests(test_filter, limit):
    """(status, by, detail, seconds): status is passed, caught or empty."""
    binary = TREE / "build" / "emulate" / "tests" / "masque-tests"
    command = [str(binary), "--filenames-as-tags", test_filter, "--abort"]
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=TREE, env=environment(), timeout=limit, text=True,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return "caught", "time-out", f"after {limit:.0f} s", time.monotonic() - start
    seconds, text = time.monotonic() - start, done.stdout
    if done.returncode == 0:
        status = "passed" if "All tests passed" in text else "empty"
        return status, "", "", seconds
    by, detail = what_failed(text, done.returncode)
    return "caught", by, detail, seconds


def what_failed(text, code):
    """How a failed run tells of the bug, and its words. Leaks come last: failures cause some."""
    ways = (
        ("sanitizer", r"ERROR: (AddressSanitizer: [\w-]+)|(runtime error: .*)"),
        ("emulator or engine error", r"unexpected exception with message:\n\s*(.*)"),
        ("test", r"FAILED:\n\s*(.*)"),
        ("sanitizer", r"ERROR: (LeakSanitizer: .*)"),
    )
    case = re.search(r"^-{79}\n(.+?)\n(?:  .+\n)*-{79}$", text, re.M)
    name = f"{case.group(1).strip()}: " if case else ""
    for by, pattern in ways:
        found = re.search(pattern, text)
        if found:
            return by, name + next(group for group in found.groups() if group is not None)
    return ("crash", f"{name}signal {-code}") if code < 0 else ("exit code", f"{name}{code}")


def measure(chosen):
    """Runs the tests without a bug: seconds by tests, of those that pass and so can judge."""
    seconds = {}
    for tests in sorted({mutant.tests for mutant in chosen}):
        status, by, detail, took = run_tests(filter_of(tests), 3600)
        if status == "passed":
            seconds[tests] = took
            print(f"without a bug     {tests}: {took:.1f} s", flush=True)
        elif status == "empty":
            print(f"no test ran       {tests}: no bug is planted for them", flush=True)
        else:
            print(f"fails without bug {tests}: none is planted for them; {detail}", flush=True)
    return seconds


def try_one(mutant, limit, jobs, all_tests):
    """Plants one bug and returns its result; the copy is whole again afterwards."""
    path = TREE / mutant.file
    original = path.read_text()
    path.write_text(original.replace(mutant.old, mutant.new))
    try:
        start = time.monotonic()
        errors = build(jobs)
        build_seconds = time.monotonic() - start
        if errors is not None:
            said = re.search(r"^.*error: .*$", errors, re.M)
            return {"status": "does not compile", "by": "", "build": build_seconds, "run": 0,
                    "detail": said.group(0) if said else errors[-300:]}
        status, by, detail, seconds = run_tests(filter_of(mutant.tests), limit)
        if status == "passed" and all_tests:
            status, by, detail, more = run_tests(ALL_GPU_TESTS, 3600)
            seconds += more
            by = f"{by}, of other test files" if by else by
        return {"status": "caught" if status == "caught" else "survived", "by": by,
                "detail": detail, "build": build_seconds, "run": seconds}
    finally:
        path.write_text(original)


def run(chosen, options):
    check_list(chosen)
    TREE.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        change_results(lambda results: [results.pop(m.name, None) for m in chosen])
    results = load_results()
    due = [m for m in chosen if results.get(m.name, {}).get("of") != fingerprint(m)]
    if due:
        copy_tree()
        configure()
        start = time.monotonic()
        errors = build(options.jobs)
        if errors is not None:
            raise Failure(f"{errors}\nthe tree does not build without a bug")
        print(f"without a bug     build: {time.monotonic() - start:.1f} s", flush=True)
        plain = measure(due)
        due = [mutant for mutant in due if mutant.tests in plain]
        due.sort(key=lambda mutant: plain[mutant.tests])
    for number, mutant in enumerate(due, 1):
        limit = max(LEAST_LIMIT, SLOWER * plain[mutant.tests])
        result = try_one(mutant, limit, options.jobs, options.all_tests)
        result.update(of=fingerprint(mutant), build=round(result["build"], 1),
                      run=round(result["run"], 1))
        change_results(lambda results: results.update({mutant.name: result}))
        print(f"{number}/{len(due)} {line_of(mutant, result)}", flush=True)
        if len(chosen) == 1:
            print(f"  {result['detail']}")


def line_of(mutant, result):
    times = f"{result['build']:.0f} + {result['run']:.0f} s"
    by = f" by {result['by']}" if result["by"] else ""
    return f"{result['status'] + by:<34} {mutant.name:<40} {times}"


def show_list(chosen):
    for m in chosen:
        line = (ROOT / m.file).read_text().partition(m.old)[0].count("\n") + 1
        print(f"{m.name:<40} {m.operator:<28} {m.bug}\n    {m.file}:{line}, tests: {m.tests}")
    print(f"{len(chosen)} bugs in {len({m.file for m in chosen})} files")
    for file in files_without_bugs():
        print(f"no bug is planted in {file}")


def show_table(chosen):
    """Returns whether all were caught."""
    results = load_results()
    print("| bug | operator | what is wrong | result |\n|---|---|---|---|")
    caught = compiled = due = 0
    for m in chosen:
        result = results.get(m.name)
        if result is None:
            due += 1
            continue
        by = f" by {result['by']}" if result["by"] else ""
        old = "" if result["of"] == fingerprint(m) else " (out of date)"
        print(f"| {m.name} | {m.operator} | {m.bug} | {result['status']}{by}{old} |")
        caught += result["status"] == "caught"
        compiled += result["status"] != "does not compile"
    broken = len(chosen) - due - compiled
    notes = (f"; {broken} do not compile and must be replaced" if broken else "") + (
        f"; {due} have no result yet" if due else "")
    print(f"\n{caught} of {compiled} caught{notes}")
    return caught == len(chosen)


def show_summary(chosen):
    """Returns whether all were caught."""
    results = {name: r for name, r in load_results().items() if r["status"] != "does not compile"}
    print("| file | planted | run | caught |\n|---|---|---|---|")
    ways, rows = {}, {}
    for m in chosen:
        row = rows.setdefault(m.file, [0, 0, 0])
        result = results.get(m.name, {"of": "", "by": ""})
        ran = result["of"] == fingerprint(m)
        caught = ran and result["status"] == "caught"
        for i, one in enumerate((True, ran, caught)):
            row[i] += one
        if caught:
            ways[result["by"]] = ways.get(result["by"], 0) + 1
    total = [sum(column) for column in zip(*rows.values())]
    for file, row in sorted(rows.items()) + [("all", total)]:
        print(f"| {file} | " + " | ".join(map(str, row)) + " |")
    print("\n" + ", ".join(f"{count} by {by}" for by, count in sorted(ways.items())))
    return total[2] == len(chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", help="all, quick, or names of files and bugs")
    parser.add_argument("--list", action="store_true", help="show the bugs, run nothing")
    parser.add_argument("--table", action="store_true", help="show the results, run nothing")
    parser.add_argument("--summary", action="store_true", help="count the results, run nothing")
    parser.add_argument("--fresh", action="store_true", help="forget their results first")
    parser.add_argument("--all-tests", action="store_true",
                        help="run all GPU tests on a bug that its own tests let pass")
    parser.add_argument("--tree", default="tree", help="folder of the copy, in build/mutation")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="of the build")
    options = parser.parse_args()
    if not options.which and not (options.list or options.table or options.summary):
        parser.error("say what to plant: all, quick, a file or a bug")
    chosen = select(options.which)
    if options.list:
        check_list([])
        show_list(chosen)
        return 0
    if options.summary:
        return 0 if show_summary(chosen) else 1
    if not options.table:
        global TREE
        TREE = WORK / options.tree
        run(chosen, options)
    return 0 if show_table(chosen) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"run.py: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
