"""The tables and pictures of results/bench.json: bench.md and .png, rounding.md, rounds.png."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from experiment.markdown import markdown
from experiment.settings import RESULTS
from experiment.storage.result_errors import reading
from experiment.style import BLUE, GREY, drawing

# The programs in the picture, and their labels.
BARS = {
    "post": "post",
    "feed": "feed",
    "stepwise": "stepwise",
    "delayed": "delayed",
    "parallel": "parallel",
    "PyTorch, compiled, 2 threads": "PyTorch",
    "JAX": "JAX",
    "rewriting": "limit: rewriting every step",
    "reading": "limit: reading the matrices",
}
ENGINES = ("feed", "stepwise", "delayed", "parallel")


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
    """Milliseconds per step of the programs in `BARS`, this project's engines in blue."""
    colors = [BLUE if name in ENGINES else GREY for name in BARS]
    bars = axes.barh(list(BARS.values()), [programs[name] for name in BARS], color=colors)
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.margins(x=0.18)
    axes.invert_yaxis()
    axes.set_xlabel("ms per training step")


def draw_rounds(axes: Axes, by_rate: dict[str, dict[str, int]]) -> None:
    """The most rounds of a block in two epochs, at each rate."""
    rates = [float(rate) for rate in by_rate]
    first, later = next(iter(by_rate.values()))
    for epoch, other, color in ((first, later, GREY), (later, first, BLUE)):
        rounds = [by_epoch[epoch] for by_epoch in by_rate.values()]
        axes.loglog(rates, rounds, "o-", color=color, label=f"epoch {epoch}")
        for rate, by_epoch in zip(rates, by_rate.values(), strict=True):
            at = rate, by_epoch[epoch]
            beside = (0, 6 if by_epoch[epoch] > by_epoch[other] else -14)
            axes.annotate(f"{at[1]}", at, beside, textcoords="offset points", ha="center")
    axes.set(xlabel="lr_rec", ylabel="rounds of a block", ylim=(0.5, 100))
    axes.set_yticks([1, 10, 100], ["1", "10", "100"])
    axes.minorticks_off()
    axes.legend(loc="upper left")


def summary(report: dict[str, Any]) -> str:
    """The report in Markdown: speed, growth, rounds, start-up and memory."""
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
    rounds = [(rate, *map(str, count.values())) for rate, count in report["rounds"].items()]
    epochs = next(iter(report["rounds"].values()))
    seconds = report["command_seconds"]
    once = (
        [("processor", report["processor"])]
        + [
            (f"reproduce.py --mode={mode}", f"{seconds[mode]:.1f} s, {ratio:.1f} times the import")
            for mode in ("manual", "auto")
            for ratio in (seconds[mode] / seconds["import"],)
        ]
        + [
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
            markdown(("engine", "ms per step at each width", "grows with the power"), growth),
            markdown(("lr_rec", *(f"rounds in epoch {epoch}" for epoch in epochs)), rounds),
            markdown(("", ""), once),
        )
    )


def rounding(report: dict[str, Any]) -> str:
    """The rounding of each engine in each wiring, in Markdown."""
    rows = [
        (wiring, *(f"{of[name]:.1e}" for name in ENGINES[1:]))
        for wiring, of in report["rounding"].items()
    ]
    return markdown(("wiring", *ENGINES[1:]), rows)


def write(results: Path, report: dict[str, Any]) -> str:
    """Writes bench.md, rounding.md, bench.png and rounds.png; returns the tables of bench.md."""
    with drawing(results / "bench", 7, 3) as figure:
        draw_steps(figure.add_subplot(), report["ms_per_step"])
    with drawing(results / "rounds", 6, 3) as figure:
        draw_rounds(figure.add_subplot(), report["rounds"])
    (results / "rounding.md").write_text(rounding(report))
    text = summary(report)
    (results / "bench.md").write_text(text)
    return text


def make() -> None:
    """Writes tables and pictures from bench.json."""
    write(RESULTS, read_bench(RESULTS))
