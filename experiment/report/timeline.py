"""The dependencies of the updates of a training step, and when each operation runs.

results/timeline.md: the operations before each update, read from the graph; results/timeline.csv:
the times of every operation, by TensorFlow's tracer; results/timeline.png: both.
"""

import csv
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from experiment.markdown import markdown
from experiment.settings import RESULTS
from experiment.storage.result_errors import reading
from experiment.style import BLUE, DARK_GREY, VERMILION, drawing

BAR = 1.4  # The height of a bar with the room around it; that of a line of text is 1.
COLORS = {"forward": BLUE, "gradient": VERMILION, "update": DARK_GREY}
LABELS = {"forward": "forward", "gradient": "gradient", "update": "outer product and update"}


class Ran(NamedTuple):
    """An operation, a row of results/timeline.csv.

    Attributes:
        way: the way to train.
        box: the box of the step that it belongs to.
        kind: "forward", "gradient", or "update": an outer product or an operation on it.
        operation: its name.
        start_ms, end_ms: since the step began.
        changes: the weight that it changes, or "".
        after: the boxes that the change waits for.
    """

    way: str
    box: str
    kind: str
    operation: str
    start_ms: float
    end_ms: float
    changes: str
    after: str


def measure() -> tuple[str, list[Ran]]:
    """The table of dependencies in Markdown, and the times of each operation of a step."""
    from experiment.evaluation import dependencies  # imports TensorFlow, which `draw` does not need

    lines, rows = [], []
    steps = dependencies.trace(dependencies.WAYS, dependencies.STEPS)
    for way, (operations, times) in steps.items():
        _, boxes = dependencies.WAYS[way]
        updates = dependencies.updates(operations, boxes)
        for same, those in groupby(updates, key=lambda update: update._replace(name="", weight="")):
            weights = ", ".join(update.weight for update in those)
            share = f"{same.products} of {same.total} ({same.products / same.total:.0%})"
            lines.append((way, weights, same.box, share, str(same.chain), same.summary()))
        changes = {update.name: (update.weight, update.summary()) for update in updates}
        of_way = []
        for operation in operations:
            box = dependencies.box_of(boxes, operation)
            # The cost has no box, nor have operations that only hand values on.
            if box is not None and operation.type not in dependencies.NO_COMPUTATION:
                start, end = (round(ms, 4) for ms in times[operation.name])
                kind = "update" if dependencies.is_update(operation) else "gradient"
                if box in dependencies.FORWARD.values():
                    kind = "forward"
                changed = changes.get(operation.name, ("", ""))
                of_way.append(Ran(way, box, kind, operation.name, start, end, *changed))
        order = list(dict.fromkeys(boxes.values()))
        rows += sorted(of_way, key=lambda row: (order.index(row.box), row.start_ms))
    header = (
        "gradients by", "weights", "changed in", "matrix products before, of all", "in a row",
        "after",
    )  # fmt: skip
    return markdown(header, lines), rows


def read(results: Path) -> dict[str, list[Ran]]:
    """The rows of results/timeline.csv, by way. Raises a UserError if it is missing or damaged."""
    rows = defaultdict(list)
    path = results / "timeline.csv"
    with reading(path, "make results"), path.open(newline="") as file:
        for way, box, kind, operation, start, end, changes, after in [*csv.reader(file)][1:]:
            ran = Ran(way, box, kind, operation, float(start), float(end), changes, after)
            rows[way].append(ran)
    return rows


def draw(axes: Axes, rows: Sequence[Ran], extent: tuple[float, float]) -> None:
    """Draws a step: a bar for each operation, a diamond where a weight has changed.

    Args:
        axes: empty.
        rows: of one way, box by box.
        extent: from `extent_of`.
    """
    y = 0.0
    for box, group in groupby(rows, key=lambda row: row.box):
        ran = list(group)
        changes = [row for row in ran if row.changes]
        bar = y + _lines(ran)
        axes.text(0, y, box, va="top", in_layout=False)
        for kind, color in COLORS.items():
            bars = [(row.start_ms, row.end_ms - row.start_ms) for row in ran if row.kind == kind]
            axes.broken_barh(bars, (bar + 0.2, 0.6), color=color)
        if changes:
            text = "; ".join(
                f"{', '.join(row.changes for row in those)}: after {after}"
                for after, those in groupby(changes, key=lambda row: row.after)
            )
            axes.text(0, y + 1, text, va="top", color=DARK_GREY, in_layout=False)
            marks = [row.end_ms for row in changes]
            axes.plot(marks, [bar + 0.5] * len(marks), "kD", clip_on=False)
        y = bar + BAR
    longest, tallest = extent
    axes.set(xlim=(0, longest), ylim=(tallest, 0), xlabel="ms since the step began", yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_title(rows[0].way)
    kinds = [Patch(color=color, label=LABELS[kind]) for kind, color in COLORS.items()]
    changed = Line2D([], [], color="k", marker="D", linestyle="", label="a weight has changed")
    axes.legend(handles=[*kinds, changed], loc="upper right", fontsize="small")


def _lines(ran: Sequence[Ran]) -> int:
    """The number of lines of text of a box."""
    return 2 if any(row.changes for row in ran) else 1


def extent_of(steps: dict[str, list[Ran]]) -> tuple[float, float]:
    """The limits of axes that fit every way: ms, and lines of text."""
    longest = max(row.end_ms for rows in steps.values() for row in rows)
    tallest = max(
        sum(_lines(list(ran)) + BAR for _, ran in groupby(rows, key=lambda row: row.box))
        for rows in steps.values()
    )
    return 1.03 * longest, tallest


def make() -> None:
    """Measures, and writes the table, the times and the picture."""
    from experiment.training.startup import fix_rounding, import_tensorflow

    fix_rounding()
    import_tensorflow()
    text, rows = measure()
    (RESULTS / "timeline.md").write_text(text)
    with (RESULTS / "timeline.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([Ran._fields, *rows])
    write_picture(RESULTS)


def write_picture(results: Path) -> None:
    """Draws timeline.png from timeline.csv."""
    steps = read(results)
    with drawing(results / "timeline", 13, 5) as figure:
        for axes, rows in zip(figure.subplots(1, len(steps)), steps.values(), strict=True):
            draw(axes, rows, extent_of(steps))
