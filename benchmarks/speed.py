"""`make bench`: the time of a training step and of a whole command, and the memory of a run.

All programs run in turn, an epoch each, and the median of many turns counts: on a shared machine,
timings that are not interleaved cannot be compared.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from experiment.training.startup import fix_rounding, import_tensorflow

fix_rounding()
started = time.perf_counter()
import_tensorflow()
IMPORT_SECONDS = time.perf_counter() - started

import numpy as np

from benchmarks.limits import Limits
from benchmarks.peers import PEERS, Peer
from benchmarks.post_loop import PostLoop
from benchmarks.rounding import differences
from experiment.evaluation import recorded_runs
from experiment.evaluation.metrics import environment
from experiment.report import speed
from experiment.settings import PROJECT, RESULTS, Settings
from experiment.storage.checkpoint import Checkpoints
from experiment.training import mnist, session
from experiment.training.build import build
from experiment.training.mnist import Images
from experiment.training.outcome import History
from graph.weights import PIXELS, Rates, Weights, portable_draw
from numpy_version import decoupled_rnn

# Epochs that are not counted: `parallel` takes more rounds in the first dozen than later.
WARM_UP = 20
TURNS = 11
FEW_TURNS = 5
COMMAND_TURNS = 3
STEPS = 100
WIDTHS = (196, 400, PIXELS, 1600)
LR_RECS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
# The settings that differ from the post's step, which is published and manual.
KINDS: dict[str, dict[str, Any]] = {
    "": {},
    "ordered, ": {"wiring": "ordered"},
    "connected, ": {"wiring": "connected"},
    "with the label, ": {"wiring": "connected", "module_input": "state+label"},
    "through time, ": {"wiring": "connected", "gradient_1": "true", "gradient_2": "true"},
    "auto, ": {"mode": "auto"},
    "ordered auto, ": {"mode": "auto", "wiring": "ordered"},
    "connected auto, ": {"mode": "auto", "wiring": "connected"},
}

Program = Callable[[], object]


def open_graph(settings: Settings, images: Images) -> session.Running:
    """The graph of a run in a Session, initialized."""
    graph = build(settings, images.x.shape[1])
    tf_session = session.open_session(graph, threads=session.threads_for(settings))
    with graph.graph.as_default():
        session.initialize(tf_session, graph, settings, images)
    return session.Running(graph, tf_session)


def engine(settings: Settings, images: Images) -> Program:
    """An epoch of the graph, ready to run."""
    graph, tf_session = open_graph(settings, images)
    return lambda: session.train_epoch(tf_session, graph, images, settings.lr_rec)


def numpy_version(settings: Settings, initial: Weights, images: Images) -> Program:
    """An epoch of the Numpy version, in float32 and with outer products, as the graph does it."""
    weights = decoupled_rnn.Weights(
        initial.hidden_states[:, 0],
        initial.w_x,
        initial.w_rec,
        initial.w_fc[:, 0],
        initial.w_sg_1,
        initial.w_sg_2,
    )
    rates = decoupled_rnn.Rates(settings.lr_x, settings.lr_rec, settings.lr_sg)
    return lambda: decoupled_rnn.epoch(zip(*images, strict=True), weights, rates, "outer")


def measure(
    programs: dict[str, Program], turns: int, steps: int, warm_up: int = 1
) -> dict[str, float]:
    """Milliseconds per step: the median over the turns after those to warm up."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(warm_up + turns):
        for name, program in programs.items():
            start = time.perf_counter()
            program()
            if turn >= warm_up:
                times[name].append(1e3 * (time.perf_counter() - start) / steps)
    return {name: statistics.median(values) for name, values in times.items()}


def synthetic_images(count: int, width: int) -> Images:
    """Random images, for widths that MNIST does not have."""
    random = np.random.RandomState(0)
    labels = np.arange(count) % 2
    return Images(random.random_sample((count, width)).astype(np.float32), labels.astype(np.uint8))


def start_up() -> dict[str, float]:
    """Seconds for import, for graph and initialization, and for the first epoch."""
    settings = Settings()
    images = synthetic_images(STEPS, PIXELS)
    start = time.perf_counter()
    run = engine(settings, images)
    built = time.perf_counter()
    run()
    return {
        "import_tensorflow": IMPORT_SECONDS,
        "build_and_initialize": built - start,
        "first_epoch": time.perf_counter() - built,
    }


def rounds_by_rate(images: Images) -> dict[str, dict[str, int]]:
    """The most rounds of a block in the first and in a later epoch, at each rate of the time boxes.

    The keys are the rate and the epoch.
    """
    graph, tf_session = open_graph(Settings(engine="parallel"), images)

    def rounds(rate: float) -> dict[str, int]:
        with graph.graph.as_default():
            session.initialize(tf_session, graph, Settings(), images)
        epochs = [
            session.train_epoch(tf_session, graph, images, rate).rounds for _ in range(WARM_UP)
        ]
        return {"1": epochs[0], str(WARM_UP): epochs[-1]}

    return {f"{rate:g}": rounds(rate) for rate in LR_RECS}


def whole_commands() -> dict[str, float]:
    """Seconds of `import tensorflow`, and of the two commands of the README, each a process."""
    with tempfile.TemporaryDirectory() as folder:
        commands = {"import": ["-c", "import tensorflow"]} | {
            mode: ["reproduce.py", f"--mode={mode}", f"--results_dir={folder}"]
            for mode in ("manual", "auto")
        }

        def command(arguments: list[str]) -> None:
            subprocess.run(
                [sys.executable, *arguments], cwd=PROJECT, check=True, capture_output=True
            )

        programs: dict[str, Program] = {
            name: partial(command, arguments) for name, arguments in commands.items()
        }
        return {name: ms / 1e3 for name, ms in measure(programs, COMMAND_TURNS, 1).items()}


def checkpoint_share() -> float:
    """The time of a checkpoint, as a share of the training since the one before."""
    settings = Settings()
    images = synthetic_images(STEPS, PIXELS)
    graph, tf_session = open_graph(settings, images)
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder:
        checkpoints = Checkpoints(Path(folder))
        costs: list[float] = []

        def train() -> None:
            for _ in range(settings.checkpoint_every):
                epoch = session.train_epoch(tf_session, graph, images, settings.lr_rec)
                costs.append(epoch.cost)

        def save() -> None:
            with graph.graph.as_default():
                checkpoints.add(History(costs), session.Running(graph, tf_session).save)

        ms = measure({"train": train, "save": save}, FEW_TURNS, 1)
    return ms["save"] / ms["train"]


def peak_memory() -> dict[str, float]:
    """Peak memory in MB of a default run, and of TensorFlow with an open Session."""
    opened = (
        "from experiment.training.startup import import_tensorflow; import_tensorflow()\n"
        "import tensorflow.compat.v1 as tf\n"
        "with tf.Session(graph=tf.Graph()) as s:\n"
        "    with s.graph.as_default(): s.run(tf.constant(1.0) + 1.0)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "default_run": ["reproduce.py", f"--results_dir={folder}"],
            "tensorflow_and_session": ["-c", opened],
        }
        return {name: _peak([sys.executable, *rest]) for name, rest in commands.items()}


def _peak(command: list[str]) -> float:
    # In a small process of its own: a child's figure starts from that of the process it came from.
    measure = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", measure, *command], cwd=PROJECT, check=True, capture_output=True
    )
    return int(result.stdout) * 1024 / 1e6


def main() -> None:
    """Measures everything, prints it, and writes results/bench.json, .md and .png."""
    settings = Settings()
    images = mnist.split(mnist.load(settings.data_dir), settings).train
    seconds_once = start_up()

    def with_engine(name: str, **changes: Any) -> Program:
        return engine(dataclasses.replace(settings, engine=name, **changes), images)

    rates = Rates(settings.lr_x, settings.lr_rec, settings.lr_sg)
    post = PostLoop(portable_draw(settings.seed), rates)
    limits = Limits(portable_draw(settings.seed))
    programs: dict[str, Program] = {"post": lambda: post.epoch(images)}
    for kind, changes in KINDS.items():
        synthetic = not {"mode", "gradient_1"} & set(changes)
        engines = ["feed", "stepwise"] + synthetic * ["delayed"]
        engines += (synthetic and "module_input" not in changes) * ["parallel"]
        for name in engines:
            programs[kind + name] = with_engine(name, **changes)
    recorded = recorded_runs.find(settings)
    assert recorded is not None
    data = {"images": images.x, "labels": images.y.astype(np.float32)}
    for name in PEERS:
        initial = portable_draw(settings.seed)._asdict()
        programs[name] = Peer(name, data | initial, rates, list(recorded.costs[:3])).epoch
    programs |= {
        "Numpy version": numpy_version(settings, portable_draw(settings.seed), images),
        "rewriting": lambda: limits.rewrite(STEPS),
        "reading": lambda: limits.read(STEPS),
    }
    ms = measure(programs, TURNS, STEPS, WARM_UP)

    growth = {}
    for name in ("stepwise", "delayed", "parallel"):
        widths: dict[str, Program] = {
            str(width): engine(
                dataclasses.replace(settings, engine=name),
                synthetic_images(STEPS, width),
            )
            for width in WIDTHS
        }
        growth[name] = measure(widths, FEW_TURNS, STEPS, WARM_UP)

    rounds = rounds_by_rate(images)
    memory = peak_memory()
    seconds = whole_commands()
    best_peer = min(ms[name] for name in PEERS)
    ratios = {
        "best-peer/parallel": best_peer / ms["parallel"],
        "parallel/reading": ms["parallel"] / ms["reading"],
        "post/parallel": ms["post"] / ms["parallel"],
        "best-peer/delayed": best_peer / ms["delayed"],
        "manual/import": seconds["manual"] / seconds["import"],
        "auto/import": seconds["auto"] / seconds["import"],
    }
    report = {
        "ms_per_step": ms,
        "ratios": ratios,
        "growth": growth,
        "rounds": rounds,
        "rounding": differences(images),
        "command_seconds": seconds,
        "start_up_seconds": seconds_once,
        "checkpoint_share": checkpoint_share(),
        "peak_memory_mb": memory,
        **environment(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench.json").write_text(json.dumps(report, indent=1) + "\n")
    print(speed.write(RESULTS, report))
    for name, ratio in ratios.items():
        print(f"ratio {name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
