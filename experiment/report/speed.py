"""The benchmark as a table and a picture: results/bench.json → bench.md, bench.png."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from experiment.markdown import markdown
from experiment.settings import RESULTS
from experiment.storage.result_errors import reading
from experiment.style import BLUE, GREY, VERMILION, drawing

GROWTH = ("BLAS floor", "stepwise", "delayed")
# `BLAS floor` is no floor for programs that rewrite the matrices less often.
LABELS = {"BLAS floor": "BLAS, every step", "limit": "reading the matrices"}


def read_bench(results: Path) -> dict[str, Any]:
    """The content of bench.json. Raises a UserError if it is missing or damaged."""
    path = results / "bench.json"
    with reading(path, "make bench"):
        report: dict[str, Any] = json.loads(path.read_bytes())
    return report


def power(ms_per_step: dict[str, float]) -> float:
    """The exponent b of the a·nᵇ that fits the times of n pixels best."""
    n = np.log([int(count) for count in ms_per_step])
    return float(np.polyfit(n, np.log(list(ms_per_step.values())), 1)[0])


def draw_steps(axes: Axes, programs: dict[str, float]) -> None:
    """Milliseconds per step of each program."""
    names = [LABELS.get(name, name) for name in programs]
    bars = axes.barh(names, list(programs.values()), color=BLUE)
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.margins(x=0.18)
    axes.invert_yaxis()
    axes.set_xlabel("ms per step")
    axes.set_title("One training step")


def draw_growth(axes: Axes, growth: dict[str, dict[str, float]]) -> None:
    """Milliseconds per step against the width, of each of `GROWTH`."""
    colors = (GREY, BLUE, VERMILION)
    for name, color in zip(GROWTH, colors, strict=True):
        by_width = growth[name]
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
            ", ".join(f"{width}: {value:.3f}" for width, value in by_width.items()),
            f"{power(by_width):.2f}",
        )
        for name, by_width in report["growth"].items()
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
            markdown(("program", "ms per step at each width", "grows with the power"), growth),
            markdown(("once", ""), once),
        )
    )


def write(results: Path, report: dict[str, Any]) -> str:
    """Writes bench.md and bench.png; returns the table."""
    with drawing(results / "bench", 9.5, 8.5) as figure:
        left, right = figure.subplots(1, 2)
        draw_steps(left, report["ms_per_step"])
        draw_growth(right, report["growth"])
    text = summary(report)
    (results / "bench.md").write_text(text)
    return text


def make() -> None:
    """Writes table and picture from bench.json."""
    write(RESULTS, read_bench(RESULTS))
