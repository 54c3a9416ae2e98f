"""Changes the code in one place at a time and runs the tests of that place (`make mutants`).

mutmut makes the changes, *mutants*: another operator, constant, text or argument, or one less, or
None. Each mutant is judged in a copy of the project, in a fork of a process that has imported
TensorFlow. The tests that execute its line run there until one fails: the mutant is *killed*. If
none fails within `SECONDS`, it has *survived*. A mutant that hangs counts as killed, and one whose
module cannot be imported does not count.

results/.mutants keeps the executed lines and the verdicts, by digests of the files. Survivors are
tried again each time. equivalent.toml lists the mutants that no test can tell from the program.
"""

import argparse
import ast
import collections
import concurrent.futures
import contextlib
import functools
import hashlib
import importlib
import json
import os
import queue
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from experiment.markdown import markdown
from experiment.settings import PROJECT
from experiment.storage.folder import write_whole
from experiment.training.startup import fix_rounding
from tests.preloaded_process import fork
from tests.project_copy import copy_project

LINES = PROJECT / "results/.mutants/lines.json"
VERDICTS = PROJECT / "results/.mutants/verdicts.json"
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
PACKAGES = ("graph", "experiment")
# Tests that take minutes, or a single test this long, are too slow for thousands of mutants.
SLOW_FOLDERS = ("campaigns", "notebooks")
SLOW_TEST = 30  # seconds
FIRST = 5  # tests run before the files of the others are imported
SECONDS = 120  # of tests for a mutant, after the first test
TEST_HANGS = 100  # seconds
MUTANT_HANGS = 1800  # seconds
MEMORY = 6 * 2**30  # bytes
NOT_IMPORTED = 77
PROGRESS_SECONDS = 20  # between two lines of progress
PROCESSES = 2


class Verdict(NamedTuple):
    """The verdict on a mutant: killed, survived or not imported; and the test that failed."""

    verdict: str
    file: str
    line: int
    change: str
    killer: str | None


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git(folder, *arguments):
    names = "-c", "user.name=-", "-c", "user.email=-"
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def make_copy(folder):
    """Makes a repository with a copy of the project."""
    copy_project(folder)
    git(folder, "init", "-q")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "-")


# The tests that execute a line


def files_of_tests():
    """The files of fast and slow tests, without those of `SLOW_FOLDERS`."""
    files = sorted((PROJECT / "tests").rglob("test_*.py"))
    return [str(p.relative_to(PROJECT)) for p in files if not {*p.parts} & {*SLOW_FOLDERS}]


def executed_lines(judge):
    """By file of tests: the seconds of each test, the lines it executes, and digests of all files.

    Args:
        judge: from `judges`. Without a change, all tests must pass there.
    """
    known = json.loads(LINES.read_text()) if LINES.exists() else {}
    known = {
        file: each for file, each in known.items() if each["digests"] == digests(each["digests"])
    }
    if stale := [file for file in files_of_tests() if file not in known]:
        with tempfile.TemporaryDirectory() as temporary:
            make_copy(Path(temporary))
            known |= measure(Path(temporary), stale)

        def check(file):
            name = "graph/__init__.py"
            tests = list(known[file]["seconds"])
            verdict, killer = judge(name, (PROJECT / name).read_text(), tests)
            assert verdict == "survived", killer or tests

        with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
            list(pool.map(check, stale))
        LINES.write_text(json.dumps(known))
    return known


def digests(names):
    """The digests of files of the project, by name; None for a file that is missing."""
    paths = {name: PROJECT / name for name in names}
    return {name: digest(path) if path.is_file() else None for name, path in paths.items()}


def measure(folder, files):
    """Runs files of tests under coverage, in a copy of the project; returns their lines."""
    (folder / "coverage.ini").write_text(
        f"[run]\nsource = {folder}/graph\n  {folder}/experiment\nparallel = true\n"
        f"data_file = {folder}/.coverage\ncontext = ${{PYTEST_CURRENT_TEST-}}\n"
    )
    coverage = [sys.executable, "-m", "coverage"]
    environment = {
        **os.environ,
        "COVERAGE_PROCESS_START": str(folder / "coverage.ini"),
        "SECONDS": str(folder / "seconds"),
        "PYTHONPATH": str(folder),
    }
    # The exit status is ignored: a test that lets no file grow stops coverage's file, too.
    subprocess.run(
        [*coverage, "run", "--rcfile=coverage.ini", "-m", "pytest", "--numprocesses=2",
         "-p", "tests.campaigns.mutation.coverage_contexts", "--dist=loadfile",
         "-p", "no:cacheprovider", *files],
        cwd=folder, env=environment,
    )  # fmt: skip
    for command in (["combine", "-q"], ["json", "-q", "--show-contexts", "-o", "lines.json"]):
        subprocess.run([*coverage, *command, "--rcfile=coverage.ini"], cwd=folder, check=True)
    known = {file: {"seconds": {}, "lines": {}} for file in files}
    for line in (folder / "seconds").read_text().splitlines():
        test, seconds = json.loads(line)
        if seconds < SLOW_TEST:
            known[test.split("::")[0]]["seconds"][test] = seconds
    for source, covered in json.loads((folder / "lines.json").read_text())["files"].items():
        for line, contexts in covered["contexts"].items():
            # pytest adds the phase of a test to its name.
            tests = {re.sub(r" \((setup|call|teardown)\)$", "", each) for each in contexts} - {""}
            for test in tests:
                each = known[test.split("::")[0]]
                if test in each["seconds"]:
                    each["lines"].setdefault(test, {}).setdefault(source, []).append(int(line))
    for file, each in known.items():
        each["digests"] = digests({file, *(s for lines in each["lines"].values() for s in lines)})
    return known


@functools.cache
def in_function(source, line):
    return any(
        isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line <= node.end_lineno
        for node in ast.walk(ast.parse((PROJECT / source).read_text()))
    )


def tests_for(source, line, known, killers):
    """The tests for a line, ordered by their kills in the file, then by their seconds."""
    executed = {
        test: lines[source]
        for each in known.values()
        for test, lines in each["lines"].items()
        if source in lines
    }
    # Lines outside functions are executed at the import, which coverage records for commands alone.
    direct = {
        test for test, lines in executed.items() if line in lines and in_function(source, line)
    }
    direct = direct or set(executed)
    seconds = {test: s for each in known.values() for test, s in each["seconds"].items()}
    # The lines of a fixture of a whole file are recorded for the first of its tests alone.
    files = {test.split("::")[0] for test in direct}
    others = {test for test in seconds if test.split("::")[0] in files} - direct
    tests, left = [], SECONDS

    def order(test):
        return -killers[test], seconds[test]

    for test in (*sorted(direct, key=order), *sorted(others, key=order)):
        left -= seconds[test]
        if left > 0 or not tests:
            tests.append(test)
    return tests


# Mutants


def mutants_of(path):
    """The number of mutants of a file, and a function from the number of a mutant to its line, its
    change as `old → new`, and the text of the changed file."""
    # Imported here, because each fork of `judge` imports this module.
    from libcst.metadata import MetadataWrapper, PositionProvider
    from mutmut.mutation.file_mutation import create_mutations

    text = path.read_text()
    module, mutations, *_ = create_mutations(str(path), text)
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)

    def make(number):
        original, mutated = mutations[number].original_node, mutations[number].mutated_node
        changed = module.deep_replace(original, mutated).code
        old, new = text.splitlines(), changed.splitlines()
        while old and new and old[-1] == new[-1]:
            del old[-1], new[-1]
        while old and new and old[0] == new[0]:
            del old[0], new[0]
        change = " → ".join(" ".join(part.strip() for part in lines) for lines in (old, new))
        return positions[original].start.line, change, changed

    return len(mutations), make


def run_tests(folder, module, tests, environment):
    """Runs tests in a fork; exits as pytest does, or with `NOT_IMPORTED`."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    # Modules of the project come from the copy from here on.
    sys.path[:] = [str(folder), *(path for path in sys.path if path != str(PROJECT))]
    packages = {path.stem for path in PROJECT.iterdir()}
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
    except BaseException:
        os._exit(NOT_IMPORTED)
    options = ["-x", "-p", "no:cacheprovider", "--tb=line", f"--basetemp={folder}/.tmp"]
    options += ["-o", f"faulthandler_timeout={TEST_HANGS}"]
    options += ["-o", "faulthandler_exit_on_timeout=true"]
    os._exit(pytest.main([*options, *tests]))


def judge_in(folder, name, text, tests):
    """The verdict on a changed text of a file, in a copy of the project; the killer if known."""
    (folder / name).write_text(text)
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    status = 0
    for some in filter(None, (tests[:FIRST], tests[FIRST:])):
        process = fork(run_tests, folder, module, some, dict(os.environ))
        process.join(MUTANT_HANGS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.exitcode
        if status != 0:
            break
    git(folder, "reset", "-q", "--hard")
    git(folder, "clean", "-fdxq", "--exclude=output")
    if status == 0:
        return "survived", None
    if status == NOT_IMPORTED:
        return "not imported", None
    failed = r"^(?:FAILED|ERROR) (\S+::\w+(?:\[.*?\](?= - |$))?)"
    killer = re.search(failed, (folder / "output").read_text(), re.MULTILINE)
    return "killed", killer and killer[1]


@contextlib.contextmanager
def judges():
    """Yields `judge_in` for the first free one of some copies of the project."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = queue.Queue()
        for number in range(PROCESSES):
            folders.put(Path(temporary) / str(number))
            make_copy(folders.queue[-1])

        def judge(*arguments):
            folder = folders.get()
            try:
                return judge_in(folder, *arguments)
            finally:
                folders.put(folder)

        yield judge


# The campaign


def draw(package, most):
    """The mutants of a package to try, and the number of all.

    Returns:
        By a digest of the file and the number of the mutant: its file, and a function that makes
        it.
    """
    mutants = {}
    for path in sorted((PROJECT / package).rglob("*.py")):
        count, make = mutants_of(path)
        for number in range(count):
            key = hashlib.sha256(f"{path.name} {digest(path)} {number}".encode()).hexdigest()
            mutants[key] = str(path.relative_to(PROJECT)), functools.partial(make, number)
    # Digests are in random order.
    return {key: mutants[key] for key in sorted(mutants)[:most]}, len(mutants)


def report(packages, verdicts, equivalent):
    """The table and the list of survivors, in Markdown.

    Args:
        packages: the result of `draw` for each.
        verdicts: by the key of the mutant.
        equivalent: pairs of a file and a change.
    """
    rows, lines = [], []
    for package, (drawn, count) in packages.items():
        counted = [verdicts[key] for key in drawn if key in verdicts]
        counted = [each for each in counted if each.verdict != "not imported"]
        survivors = [each for each in counted if each.verdict == "survived"]
        alive = sorted(each for each in survivors if (each.file, each.change) not in equivalent)
        killed = len(counted) - len(survivors)
        score = f"{killed / max(killed + len(alive), 1):.1%}"
        same = len(survivors) - len(alive)
        counts = map(str, (count, len(counted), same, killed, len(alive)))
        rows.append((f"{package}/", *counts, score))
        lines += [f"- {each.file}, line {each.line}: `{each.change}`\n" for each in alive]
    heads = ("code", "mutants", "tried", "equivalent", "killed", "survived", "score")
    return markdown(heads, rows), "".join(lines)


def judge_all(mutants, verdicts):
    """Adds the verdicts on mutants, and writes them to `VERDICTS`."""
    killers = collections.defaultdict(collections.Counter)
    for each in verdicts.values():
        killers[each.file][each.killer] += 1
    shown = time.monotonic()
    with judges() as judge, concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
        known = executed_lines(judge)

        def verdict_on(key):
            file, make = mutants[key]
            line, change, text = make()
            verdict, killer = judge(file, text, tests_for(file, line, known, killers[file]))
            killers[file][killer] += 1
            return key, Verdict(verdict, file, line, change, killer)

        futures = concurrent.futures.as_completed([pool.submit(verdict_on, key) for key in mutants])
        for number, (key, verdict) in enumerate((future.result() for future in futures), 1):
            verdicts[key] = verdict
            write_whole(VERDICTS, json.dumps(verdicts))
            if verdict.verdict == "survived":
                print(*verdict[:-1], flush=True)
            if time.monotonic() > shown + PROGRESS_SECONDS:
                shown = time.monotonic()
                print(f"{number} of {len(mutants)} mutants", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", type=int, help="random mutants of each package; default: all")
    arguments = parser.parse_args()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # Bytecode of another mutant might be used.
    with mock.patch.dict(os.environ):
        fix_rounding()  # before the process that is forked imports NumPy
        fork(os.getpid).join()
    listed = tomllib.loads(EQUIVALENT.read_text())["equivalent"]
    equivalent = {(each["path"], change) for each in listed for change in each["changes"]}
    VERDICTS.parent.mkdir(parents=True, exist_ok=True)
    verdicts = {}
    if VERDICTS.exists():
        stored = json.loads(VERDICTS.read_text())
        verdicts = {key: Verdict(*verdict) for key, verdict in stored.items()}
    packages = {package: draw(package, arguments.draw) for package in PACKAGES}

    def is_open(key):
        each = verdicts.get(key)
        return each is None or (
            each.verdict == "survived" and (each.file, each.change) not in equivalent
        )

    drawn = {key: mutant for mutants, _ in packages.values() for key, mutant in mutants.items()}
    judge_all({key: mutant for key, mutant in drawn.items() if is_open(key)}, verdicts)
    table, survivors = report(packages, verdicts, equivalent)
    (PROJECT / "results/mutants.md").write_text(table)
    (PROJECT / "results/survivors.md").write_text(f"# Mutants that survive\n\n{survivors}")


if __name__ == "__main__":
    main()
