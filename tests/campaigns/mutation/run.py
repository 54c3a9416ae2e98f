"""Changes the code in one place at a time: do the tests notice? (`make mutants`)

The changes, *mutants*, are mutmut's: another operator, constant, text or argument, or one less, or
None. Each is made in a copy of the project. There the tests run that have come past its line, in a
fork of a process that has imported TensorFlow, until one fails: the mutant is *killed*. When none
does, or not soon, it has *survived*. One that hangs is killed, and one with which its module cannot
be imported does not count.

What is known of lines and mutants is kept in results/.mutants, by digests of the files; what has
survived is tried again each time. EQUIVALENT names the mutants that change nothing that anyone can
observe, and why.
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
from unittest import mock

import forked
import pytest
from copies import PROJECT, copy_project

from experiment.markdown import markdown
from experiment.storage.folder import write_whole
from experiment.training.startup import fix_rounding

TESTS = Path(__file__).parent
LINES = PROJECT / "results/.mutants/lines.json"
OUTCOMES = PROJECT / "results/.mutants/outcomes.json"
EQUIVALENT = PROJECT / "tests/equivalent.toml"
# They kill or cut for minutes, or run whole notebooks: too slow for thousands of mutants.
SLOW = ("aloni", "kills", "notebook", "power")
SLOW_TESTS = ("test_each_control_dependency_is_needed",)
FIRST = 5  # tests, without any other's file
SECONDS = 120  # of tests for a mutant, but for the first
HANGS = 100  # seconds, for a single test
HANGS_WHOLLY = 1800  # seconds, for all of a mutant
MEMORY = 6 * 2**30  # bytes
NOT_IMPORTED = 77
PHASE = re.compile(r" \((setup|call|teardown)\)$")  # of a test, in the name that pytest gives to it
PROGRESS = 20  # seconds between two lines that say how far it is
PROCESSES = 2
ROOMS = ("graph", "experiment")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git(folder, *arguments):
    names = "-c", "user.name=-", "-c", "user.email=-"
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def copy(folder):
    """A repository of a copy of the project."""
    copy_project(folder)
    git(folder, "init", "-q")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "-")


# Which tests come past which lines


def come_past(tried):
    """By the file of tests: the seconds of each, the lines it comes past, and digests of all files.

    Args:
        tried: what `in_copies` gives. All tests have to pass there as long as nothing is changed.
    """
    known = json.loads(LINES.read_text()) if LINES.exists() else {}
    known = {file: its for file, its in known.items() if its["digests"] == digests(its["digests"])}
    files = [file for file in PROJECT.glob("tests/**/test_*.py") if file.stem[5:] not in SLOW]
    stale = sorted({str(file.relative_to(PROJECT)) for file in files} - set(known))
    if stale:
        with tempfile.TemporaryDirectory() as temporary:
            copy(Path(temporary))
            known |= measured(Path(temporary), stale)

        def check(file):
            name = "graph/__init__.py"
            tests = list(known[file]["seconds"])
            what, by = tried(name, (PROJECT / name).read_text(), tests, None)
            assert what == "survived", by or tests

        with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
            list(pool.map(check, stale))
        LINES.write_text(json.dumps(known))
    return known


def digests(names):
    """Of files of the project, by their names; None of those that are not there."""
    paths = {name: PROJECT / name for name in names}
    return {name: digest(path) if path.is_file() else None for name, path in paths.items()}


def measured(folder, files):
    """What `come_past` says of these files of tests, which it runs under coverage."""
    (folder / "coverage.ini").write_text(
        f"[run]\nsource = {folder}/graph\n  {folder}/experiment\nparallel = true\n"
        f"data_file = {folder}/.coverage\ncontext = ${{PYTEST_CURRENT_TEST-}}\n"
    )
    run = [sys.executable, "-m", "coverage"]
    environment = {
        **os.environ,
        "COVERAGE_PROCESS_START": str(folder / "coverage.ini"),
        "SECONDS": str(folder / "seconds"),
        "PYTHONPATH": str(folder / "tests"),
    }
    # Not checked: a test that lets no file grow stops coverage's own, too.
    subprocess.run(
        [*run, "run", "--rcfile=coverage.ini", "-m", "pytest", "-p", "past", "--numprocesses=2",
         "--dist=loadfile", "-p", "no:cacheprovider", *files],
        cwd=folder, env=environment,
    )  # fmt: skip
    for command in (["combine", "-q"], ["json", "-q", "--show-contexts", "-o", "lines.json"]):
        subprocess.run([*run, *command, "--rcfile=coverage.ini"], cwd=folder, check=True)
    found = {file: {"seconds": {}, "lines": {}} for file in files}
    for line in (folder / "seconds").read_text().splitlines():
        test, seconds = json.loads(line)
        found[test.split("::")[0]]["seconds"][test] = seconds
    for source, its in json.loads((folder / "lines.json").read_text())["files"].items():
        for line, contexts in its["contexts"].items():
            for test in {PHASE.sub("", context) for context in contexts} - {""}:
                lines = found[test.split("::")[0]]["lines"].setdefault(test, {})
                lines.setdefault(source, []).append(int(line))
    for file, its in found.items():
        its["digests"] = digests({file, *(s for lines in its["lines"].values() for s in lines)})
    return found


@functools.cache
def within(source, line):
    """Whether the line of the file is in a function."""
    return any(
        isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line <= node.end_lineno
        for node in ast.walk(ast.parse((PROJECT / source).read_text()))
    )


def tests_of(source, line, known, killers):
    """The tests for a line, in their order: first those that have killed most in the file."""
    past = {
        test: lines[source]
        for its in known.values()
        for test, lines in its["lines"].items()
        if source in lines
    }
    # What is done when the file is imported is noted for tests of commands alone, and what goes on
    # from the line before for none.
    direct = {test for test, lines in past.items() if line in lines and within(source, line)}
    direct = direct or set(past)
    seconds = {test: s for its in known.values() for test, s in its["seconds"].items()}
    # What a fixture does for a whole file is noted for the first of its tests alone.
    files = {test.split("::")[0] for test in direct}
    others = {t for t in seconds if t.split("::")[0] in files} - direct
    tests, left = [], SECONDS

    def worth(test):
        return -killers[test], seconds[test]

    for test in (*sorted(direct, key=worth), *sorted(others, key=worth)):
        left -= seconds[test]
        if (left > 0 or not tests) and not any(slow in test for slow in SLOW_TESTS):
            tests.append(test)
    return tests


# Mutants


def sources():
    return sorted(p for room in ROOMS for p in (PROJECT / room).rglob("*.py"))


def found(path):
    """The mutants of a file, by numbers, and what makes one: its line, what it makes of what, and
    the file's whole text."""
    # Not above, which each fork of outcome() reads again.
    from libcst.metadata import MetadataWrapper, PositionProvider
    from mutmut.mutation.file_mutation import create_mutations

    text = path.read_text()
    module, every, *_ = create_mutations(str(path), text)
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)

    def make(number):
        its = every[number]
        mutated = module.deep_replace(its.original_node, its.mutated_node).code
        old, new = text.splitlines(), mutated.splitlines()
        while old and new and old[-1] == new[-1]:
            del old[-1], new[-1]
        while old and new and old[0] == new[0]:
            del old[0], new[0]
        was, becomes = (" ".join(part.strip() for part in lines) for lines in (old, new))
        return positions[its.original_node].start.line, f"{was} → {becomes}", mutated

    return len(every), make


def judge(folder, module, tests, environment):
    """In a process of its own: exits as pytest does, or with NOT_IMPORTED."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    # What has come from the project so far comes from the copy from here on.
    sys.path[:] = [str(folder), *(p for p in sys.path if p not in (str(PROJECT), str(TESTS)))]
    rooms = {path.stem for path in (*PROJECT.iterdir(), *TESTS.iterdir())}
    for name in [name for name in sys.modules if name.split(".")[0] in rooms]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
    except BaseException:
        os._exit(NOT_IMPORTED)
    options = ["-x", "-p", "no:cacheprovider", "--tb=line", f"--basetemp={folder}/.tmp"]
    options += ["-o", f"faulthandler_timeout={HANGS}", "-o", "faulthandler_exit_on_timeout=true"]
    os._exit(pytest.main([*options, *tests]))


def outcome(folder, name, text, tests, seconds=HANGS_WHOLLY):
    """What becomes of a mutant of a file, for which the folder has a copy of the project.

    Returns:
        That, and the test that has failed, if it is known.
    """
    (folder / name).write_text(text)
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    what = 0
    # The first alone, because pytest reads all files of tests before it runs any.
    for some in filter(None, (tests[:FIRST], tests[FIRST:])):
        process = forked.fork(judge, folder, module, some, dict(os.environ))
        process.join(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        what = process.exitcode
        if what != 0:
            break
    git(folder, "reset", "-q", "--hard")
    git(folder, "clean", "-fdxq", "--exclude=said")
    if what == 0:
        return "survived", None
    if what == NOT_IMPORTED:
        return "not imported", None
    by = re.search(
        r"^(?:FAILED|ERROR) (\S+::\w+(?:\[.*?\](?= - |$))?)",
        (folder / "said").read_text(),
        re.MULTILINE,
    )
    return "killed", by and by[1]


@contextlib.contextmanager
def in_copies():
    """What `outcome` does, in the first of some copies of the project that is free."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = queue.Queue()
        for number in range(PROCESSES):
            folders.put(Path(temporary) / str(number))
            copy(folders.queue[-1])

        def tried(*arguments):
            folder = folders.get()
            try:
                return outcome(folder, *arguments)
            finally:
                folders.put(folder)

        yield tried


# The whole of it


def drawn(room, most):
    """The mutants of a room that are to be tried, and how many it has.

    Returns:
        By a digest of the file and the number of the mutant: its file, and what makes it.
    """
    every = {}
    for path in sources():
        if room in path.parts:
            count, make = found(path)
            for number in range(count):
                its = hashlib.sha256(f"{path.name} {digest(path)} {number}".encode()).hexdigest()
                every[its] = str(path.relative_to(PROJECT)), functools.partial(make, number)
    # Digests are in no order, so the first are drawn at random.
    return {its: every[its] for its in sorted(every)[:most]}, len(every)


def report(rooms, outcomes, equivalent):
    """The table, and a list of what has survived, as Markdown.

    Args:
        rooms: what `drawn` says of each.
        outcomes: of what was tried, by its digest: what became of it, its file, line, and change,
            and the test that killed it.
        equivalent: of changes that nobody can observe, the files and the changes.
    """
    rows, alive = [], []
    for room, (wanted, count) in rooms.items():
        tried = [outcomes[its] for its in wanted if its in outcomes]
        counted = [its for its in tried if its[0] != "not imported"]
        survived = [its for its in counted if its[0] == "survived"]
        here = sorted(its[1:4] for its in survived if (its[1], its[3]) not in equivalent)
        killed = len(counted) - len(survived)
        score = f"{killed / max(killed + len(here), 1):.1%}"
        same = len(survived) - len(here)
        counts = map(str, (count, len(counted), same, killed, len(here)))
        rows.append((f"{room}/", *counts, score))
        alive += [f"- {file}, line {line}: `{change}`\n" for file, line, change in here]
    heads = ("code", "mutants", "tried", "equivalent", "killed", "survived", "score")
    return markdown(heads, rows), "".join(alive)


def try_each(left, outcomes):
    """Adds what becomes of these mutants to the outcomes, and keeps those on file."""
    killers = collections.defaultdict(collections.Counter)
    for _, name, _, _, by in outcomes.values():
        killers[name][by] += 1
    told = time.monotonic()
    with in_copies() as tried, concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
        known = come_past(tried)

        def of(its):
            name, make = left[its]
            line, change, text = make()
            what, by = tried(name, text, tests_of(name, line, known, killers[name]))
            killers[name][by] += 1
            return its, (what, name, line, change, by)

        done = concurrent.futures.as_completed([pool.submit(of, its) for its in left])
        for number, (its, what) in enumerate((each.result() for each in done), 1):
            outcomes[its] = what
            write_whole(OUTCOMES, json.dumps(outcomes))
            if what[0] == "survived":
                print(*what[:-1], flush=True)
            if time.monotonic() > told + PROGRESS:
                told = time.monotonic()
                print(f"{number} of {len(left)} mutants", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", type=int, help="of each room, this many drawn at random (all)")
    wanted = parser.parse_args()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # of which one could be taken for another's
    with mock.patch.dict(os.environ):
        fix_rounding()  # before the process that is forked imports NumPy
        forked.fork(os.getpid).join()
    listed = tomllib.loads(EQUIVALENT.read_text())["equivalent"]
    equivalent = {(its["path"], change) for its in listed for change in its["changes"]}
    OUTCOMES.parent.mkdir(parents=True, exist_ok=True)
    outcomes = json.loads(OUTCOMES.read_text()) if OUTCOMES.exists() else {}
    rooms = {room: drawn(room, wanted.draw) for room in ROOMS}

    def is_left(its):
        what, file, _, change, _ = outcomes.get(its, ("survived", "", 0, "", None))
        return what == "survived" and (file, change) not in equivalent

    every = {its: made for room, _ in rooms.values() for its, made in room.items()}
    try_each({its: made for its, made in every.items() if is_left(its)}, outcomes)
    table, alive = report(rooms, outcomes, equivalent)
    (PROJECT / "results/mutants.md").write_text(table)
    (PROJECT / "results/survivors.md").write_text(f"# Mutants that survive\n\n{alive}")


if __name__ == "__main__":
    main()
