"""`python -m experiment.report.speed`: what `make bench` measured, as table and picture.

results/bench.json → results/bench.md, .png and .svg.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from experiment.evaluation.files import LONGEST
from experiment.markdown import markdown
from experiment.settings import RESULTS, UserError, said_in_a_line
from experiment.storage.reading import check, number, plain, reading
from experiment.style import BLUE, GREY, VERMILION, drawing

# What a table, a picture and a claim of the post are drawn from.
NEEDED = {"post", "feed", "auto, feed"}
GROWTH = ("BLAS floor", "stepwise", "delayed")


def read_bench(results: Path) -> dict[str, Any] | None:
    """What `make bench` measured, or None if it was not called yet.

    Raises:
        UserError: the file is damaged.
    """
    path = results / "bench.json"
    if not path.exists():
        return None
    with reading(path, "make bench"):
        report: dict[str, Any] = json.loads(path.read_bytes())
        ms, growth = report["ms_per_step"], report["growth"]
        against = [kind for kinds in growth.values() for kind in kinds.items()]
        parts = [ms, report["start_up_seconds"], report["peak_memory_mb"]]
        parts += [by_count for _, by_count in against]
        for name in (*growth, *(by for by, _ in against), *itertools.chain(*parts)):
            plain(name)
        for value in itertools.chain(*(part.values() for part in parts)):
            check(1 / LONGEST < number(value) < LONGEST, f"figure {value}")
        number(report["checkpoint_share"])
        for _, by_count in against:
            counts = {int(count) for count in by_count}
            check(len(counts) > 1 and 0 < min(counts) <= max(counts) < LONGEST, "growth")
        check(ms.keys() >= NEEDED and all("width" in growth[name] for name in GROWTH), "programs")
    return report


def bench(results: Path) -> dict[str, Any]:
    """What `make bench` measured. Raises a UserError if it was not called yet."""
    report = read_bench(results)
    if report is None:
        raise UserError(f"{results / 'bench.json'} is not there: make bench writes it")
    return report


def power(by: str, ms_per_step: dict[str, float]) -> float:
    """The exponent b of the a·nᵇ that comes closest to the time for n images, epochs or pixels."""
    n = np.log([int(count) for count in ms_per_step])
    exponent = float(np.polyfit(n, np.log(list(ms_per_step.values())), 1)[0])
    return exponent if by == "width" else 1 + exponent  # The steps are as many as the images.


# `BLAS floor` is no floor for programs that rewrite the matrices less often.
LABELS = {"BLAS floor": "BLAS, every step", "limit": "reading the matrices"}


def draw_steps(axes: Axes, programs: dict[str, float]) -> None:
    """Milliseconds per step of every program."""
    names = [LABELS.get(name, name) for name in programs]
    bars = axes.barh(names, list(programs.values()), color=BLUE)
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.margins(x=0.18)
    axes.invert_yaxis()
    axes.set_xlabel("ms per step")
    axes.set_title("One training step")


def draw_growth(axes: Axes, growth: dict[str, dict[str, dict[str, float]]]) -> None:
    """Milliseconds per step against the width."""
    colors = (GREY, BLUE, VERMILION)
    for name, color in zip(GROWTH, colors, strict=True):
        by_width = growth[name]["width"]
        widths = [int(width) for width in by_width]
        label = LABELS.get(name, name)
        axes.loglog(widths, list(by_width.values()), "o-", color=color, label=label)
    axes.set_xticks(widths, list(by_width))
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("width: pixels per image")
    axes.set_ylabel("ms per step")
    axes.set_title("Published wiring, manual mode")
    axes.legend()


def summary(report: dict[str, Any]) -> str:
    """The report in Markdown: speed, growth, start-up and memory."""
    ms = report["ms_per_step"]
    speed = [(name, f"{value:.3f}", f"{ms['post'] / value:.1f}") for name, value in ms.items()]
    growth = [
        (
            name,
            by,
            ", ".join(f"{count}: {value:.3f}" for count, value in values.items()),
            f"{power(by, values):.2f}",
        )
        for name, kinds in report["growth"].items()
        for by, values in kinds.items()
    ]
    once = (
        [
            (name.replace("_", " "), f"{value:.2f} s")
            for name, value in report["start_up_seconds"].items()
        ]
        + [("a checkpoint, of the training between two", f"{report['checkpoint_share']:.1%}")]
        + [
            (f"peak memory, {name.replace('_', ' ')}", f"{value:.0f} MB")
            for name, value in report["peak_memory_mb"].items()
        ]
    )
    return "\n".join(
        (
            markdown(("program", "ms per step", "times as fast as the post's"), speed),
            markdown(
                ("program", "against", "ms per step", "the time grows with the power"), growth
            ),
            markdown(("once", ""), once),
        )
    )


def write(results: Path, report: dict[str, Any]) -> str:
    """Writes the table and the picture of what was measured; returns the table."""
    with drawing(results / "bench", 9.5, 8.5) as figure:
        left, right = figure.subplots(1, 2)
        draw_steps(left, report["ms_per_step"])
        draw_growth(right, report["growth"])
    text = summary(report)
    (results / "bench.md").write_text(text)
    return text


if __name__ == "__main__":
    with said_in_a_line():
        write(RESULTS, bench(RESULTS))
