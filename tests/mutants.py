"""Changes the code in one place at a time: do the tests notice? (`make mutants`)

The changes, *mutants*, are mutmut's: another operator, constant, text or argument, or one less, or
None. Each is made in a copy of the project. There the tests run that have come past its line,
quickest first, in a fork of a process that has imported TensorFlow, until one fails: the mutant is
*killed*. When none does, it has *survived*. A mutant with which a module cannot be imported is not
counted, and one that hangs is killed.

What is known of lines and mutants is kept in results/.mutants, by digests of the files; what has
survived is tried again each time. EQUIVALENT names the mutants that change nothing that anyone can
observe, and why.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import hashlib
import importlib
import json
import os
import queue
import resource
import shutil
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

from experiment.markdown import markdown
from experiment.storage.folder import write_whole
from experiment.training.startup import fix_rounding

TESTS = Path(__file__).parent
PROJECT = TESTS.parent
STATE = PROJECT / "results/.mutants"
EQUIVALENT = PROJECT / "tests/equivalent.toml"
# They kill, cut or damage for minutes, or run whole notebooks: too slow for thousands of mutants.
SLOW = ("aloni", "bits", "cluster", "colab", "kills", "notebook", "nothing_lost", "power")
SLOW_TESTS = ("test_each_control_dependency_is_needed",)
SECONDS = 60  # of further tests in the files of those that came past a line
HANGS = 100  # seconds, for a single test
HANGS_WHOLLY = 1800  # seconds, for all of a mutant
MEMORY = 6 * 2**30  # bytes
NOT_IMPORTED = 77
PROGRESS = 20  # seconds between two lines that say how far it is
PROCESSES = 2
ROOMS = ("graph", "experiment")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git(folder, *arguments):
    names = "-c", "user.name=-", "-c", "user.email=-"
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def copy(folder):
    """A repository of what is in the project's folder, without what git ignores."""
    names = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=PROJECT, text=True
    )
    for name in filter(lambda name: (PROJECT / name).is_file(), names.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, folder / name)
    git(folder, "init", "-q")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "-")


# Which tests come past which lines


def function(test):
    """A test without its parameters and without the phase."""
    return test.split(" (")[0].split("[")[0]


def come_past(folder):
    """By the test file: its digest, the seconds of each test, and the lines each has come past."""
    path = STATE / "lines.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    files = {
        str(file.relative_to(PROJECT)): digest(file)
        for file in sorted(PROJECT.glob("tests/**/test_*.py"))
        if file.stem.removeprefix("test_") not in SLOW
    }
    code = hashlib.sha256(b"".join(p.read_bytes() for p in sources())).hexdigest()
    known = {file: its for file, its in known.items() if its["digest"] == [files.get(file), code]}
    stale = [file for file in files if file not in known]
    if not stale:
        return known
    (folder / "coverage.ini").write_text(
        f"[run]\nsource = graph\n  experiment\nparallel = true\npatch = subprocess\n"
        f"data_file = {folder}/.coverage\ncontext = ${{PYTEST_CURRENT_TEST-}}\n"
    )
    run = [sys.executable, "-m", "coverage"]
    environment = {
        **os.environ,
        "SECONDS": str(folder / "seconds"),
        "PYTHONPATH": str(folder / "tests"),
    }
    subprocess.run(
        [*run, "run", "--rcfile=coverage.ini", "-m", "pytest", "-p", "past", "--numprocesses=2",
         "--dist=loadfile", "-p", "no:cacheprovider", *stale],
        cwd=folder, env=environment, check=True,
    )  # fmt: skip
    for command in (["combine", "-q"], ["json", "-q", "--show-contexts", "-o", "lines.json"]):
        subprocess.run([*run, *command, "--rcfile=coverage.ini"], cwd=folder, check=True)
    for file in stale:
        known[file] = {"digest": [files[file], code], "seconds": {}, "lines": {}}
    for line in (folder / "seconds").read_text().splitlines():
        test, seconds = json.loads(line)
        its = known[test.split("::")[0]]["seconds"]
        its[function(test)] = its.get(function(test), 0) + seconds
    lines = json.loads((folder / "lines.json").read_text())["files"]
    for source, found in lines.items():
        for line, contexts in found["contexts"].items():
            for test in {function(context) for context in contexts} - {""}:
                its = known[test.split("::")[0]]["lines"].setdefault(test, {})
                its.setdefault(source, []).append(int(line))
    path.write_text(json.dumps(known))
    return known


def tests_of(source, line, known):
    """The tests for a line, in their order."""
    past = {
        test: lines[source]
        for its in known.values()
        for test, lines in its["lines"].items()
        if source in lines and test.split("::")[-1] not in SLOW_TESTS
    }
    # None comes past what is done when the file is imported, or goes on from the line before.
    direct = {test for test, lines in past.items() if line in lines} or set(past)
    seconds = {test: s for its in known.values() for test, s in its["seconds"].items()}
    tests, left = sorted(direct, key=seconds.get), SECONDS
    # What a fixture does for a whole file is noted for the first of its tests alone.
    files = {test.split("::")[0] for test in direct}
    others = {t for t in seconds if t.split("::")[0] in files} - direct
    for test in sorted(others, key=seconds.get):
        left -= seconds[test]
        if left > 0 and test.split("::")[-1] not in SLOW_TESTS:
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
    """What becomes of a mutant of a file, for which the folder has a copy of the project."""
    if not tests:
        return "survived"
    (folder / name).write_text(text)
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    process = forked.fork(judge, folder, module, tests, dict(os.environ))
    process.join(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    git(folder, "reset", "-q", "--hard")
    git(folder, "clean", "-fdxq", "--exclude=said")
    if process.exitcode == NOT_IMPORTED:
        return "not imported"
    return "survived" if process.exitcode == 0 else "killed"


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
        outcomes: of what was tried, by its digest: what became of it, its file, line, and change.
        equivalent: of changes that nobody can observe, the files and the changes.
    """
    rows, alive = [], []
    for room, (wanted, count) in rooms.items():
        tried = [outcomes[its] for its in wanted if its in outcomes]
        counted = [its for its in tried if its[0] != "not imported"]
        survived = [its for its in counted if its[0] == "survived"]
        here = sorted(its[1:] for its in survived if (its[1], its[3]) not in equivalent)
        killed = len(counted) - len(survived)
        score = f"{killed / max(killed + len(here), 1):.1%}"
        same = len(survived) - len(here)
        counts = map(str, (count, len(counted), same, killed, len(here)))
        rows.append((f"{room}/", *counts, score))
        alive += [f"- {file}, line {line}: `{change}`\n" for file, line, change in here]
    heads = ("code", "mutants", "tried", "equivalent", "killed", "survived", "score")
    return markdown(heads, rows), "".join(alive)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", type=int, help="of each room, this many drawn at random (all)")
    wanted = parser.parse_args()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # of which one could be taken for another's
    with mock.patch.dict(os.environ):
        fix_rounding()  # before the process that is forked imports NumPy
        forked.fork(os.getpid).join()
    STATE.mkdir(parents=True, exist_ok=True)
    listed = tomllib.loads(EQUIVALENT.read_text())["equivalent"]
    equivalent = {(its["path"], change) for its in listed for change in its["changes"]}
    path = STATE / "outcomes.json"
    outcomes = json.loads(path.read_text()) if path.exists() else {}
    rooms = {room: drawn(room, wanted.draw) for room in ROOMS}

    def is_left(its):
        what, file, _, change = outcomes.get(its, ("survived", "", 0, ""))
        return what == "survived" and (file, change) not in equivalent

    left = {its: make for room, _ in rooms.values() for its, make in room.items() if is_left(its)}
    with tempfile.TemporaryDirectory() as temporary:
        folders = queue.Queue()
        for number in range(PROCESSES):
            folders.put(Path(temporary) / str(number))
            copy(folders.queue[-1])
        known = come_past(folders.queue[0])
        every = [test for its in known.values() for test in its["seconds"]]
        untouched = "graph/__init__.py"
        what = outcome(folders.queue[0], untouched, (PROJECT / untouched).read_text(), every, None)
        assert what == "survived", (folders.queue[0] / "said").read_text()

        def tried(its):
            name, make = left[its]
            line, change, text = make()
            folder = folders.get()
            try:
                what = outcome(folder, name, text, tests_of(name, line, known))
            finally:
                folders.put(folder)
            return its, (what, name, line, change)

        told = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
            for number, (its, what) in enumerate(pool.map(tried, left), 1):
                outcomes[its] = what
                write_whole(path, json.dumps(outcomes))
                if what[0] == "survived":
                    print(*what, flush=True)
                if time.monotonic() > told + PROGRESS:
                    told = time.monotonic()
                    print(f"{number} of {len(left)} mutants", flush=True)
    table, alive = report(rooms, outcomes, equivalent)
    (PROJECT / "results/mutants.md").write_text(table)
    (PROJECT / "results/survivors.md").write_text(f"# Mutants that survive\n\n{alive}")


if __name__ == "__main__":
    main()
