"""`python -m experiment.report.timeline`: what the boxes of a training step wait for.

results/timeline.md: what must come before each update, by the graph; results/timeline.csv: when
each operation ran, by TensorFlow's tracer; results/timeline.png and .svg show both.
"""

import csv
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes

from experiment.evaluation.files import LONGEST
from experiment.markdown import markdown
from experiment.settings import RESULTS, said_in_a_line
from experiment.storage.reading import check, number, plain, reading
from experiment.style import BLUE, DARK_GREY, VERMILION, drawing

BOXES = ("time box 1", "time box 2", "readout")
TALLEST = 24.5
BACK = tuple(f"back through {box}" for box in ("the readout", "time box 2", "time box 1"))


class Ran(NamedTuple):
    """When an operation ran, a row of results/timeline.csv.

    Attributes:
        way: to train.
        box: of the step that it belongs to.
        operation: its name.
        start_ms, end_ms: from the begin of the step.
        changes: the weight that it changes, if it does.
        after: what that waits for.
    """

    way: str
    box: str
    operation: str
    start_ms: float
    end_ms: float
    changes: str
    after: str


def said(after: Sequence[str]) -> str:
    """The boxes that an update waits for, in a few words."""
    ahead = [box for box in after if box in BOXES]
    back = [box for box in after if box in BACK]
    return ", ".join(
        [
            *(["all boxes"] if len(ahead) == len(BOXES) else ahead),
            *(["there and back"] if len(back) == len(BACK) else back),
        ]
    )


def measure() -> tuple[str, list[Ran]]:
    """The table of what must come before each update, and when each operation of a step ran."""
    # Imported this late because the page draws what was found without TensorFlow.
    from experiment.evaluation import timeline

    lines, rows = [], []
    for way, (operations, times) in timeline.trace().items():
        _, boxes = timeline.WAYS[way]
        updates = timeline.updates(operations, boxes)
        for same, those in groupby(updates, key=lambda update: (update.box, *update[3:])):
            box, products, total, chain, after = same
            weights = ", ".join(update.weight for update in those)
            share = f"{products} of {total} ({products / total:.0%})"
            lines.append((way, weights, box, share, str(chain), said(after)))
        changes = {update.name: (update.weight, said(update.after)) for update in updates}
        order = list(dict.fromkeys(boxes.values()))
        of_way = [
            Ran(way, box, name, round(start, 4), round(end, 4), *changes.get(name, ("", "")))
            for name, (start, end) in times.items()
            # The cost has none, nor what only hands values on.
            if (box := timeline.box_of(boxes, name)) is not None
        ]
        rows += sorted(of_way, key=lambda row: (order.index(row.box), row.start_ms))
    header = (
        "gradients by", "weights", "changed in", "matrix products before, of all", "in a row",
        "of these other boxes",
    )  # fmt: skip
    return markdown(header, lines), rows


def read(results: Path) -> dict[str, list[Ran]]:
    """What results/timeline.csv holds, by the way to train.

    Raises:
        UserError: the file is not there, or damaged.
    """
    found = defaultdict(list)
    path = results / "timeline.csv"
    with reading(path, "make results"):
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        check(header == list(Ran._fields), "first line")
        for way, box, operation, start, end, changes, after in rows:
            for text in (way, box, operation, changes, after):
                plain(text)
            ran = Ran(way, box, operation, float(start), float(end), changes, after)
            check(0 <= number(ran.start_ms) <= number(ran.end_ms) < LONGEST, "times")
            found[way].append(ran)
        check(longest(found) > 0, "times")
    return found


def draw(axes: Axes, rows: Sequence[Ran], longest: float) -> None:
    """A step, box by box: a bar where it computes, a mark where weights change, and after what.

    Args:
        axes: to draw on.
        rows: of one way, box by box.
        longest: how far the axis goes, ms.
    """
    y = 0.0  # A line of text is 1 high.
    for box, group in groupby(rows, key=lambda row: row.box):
        ran = list(group)
        bars = [(row.start_ms, row.end_ms - row.start_ms) for row in ran]
        changes = [row for row in ran if row.changes]
        bar = y + (2.2 if changes else 1.2)
        axes.text(0, y, box, va="top", in_layout=False)
        axes.broken_barh(bars, (bar, 0.6), color=BLUE if box in BOXES else DARK_GREY)
        if changes:
            text = f"{', '.join(row.changes for row in changes)}: after {changes[-1].after}"
            axes.text(0, y + 1, text, va="top", color=VERMILION, in_layout=False)
            marks = [row.end_ms for row in changes]
            axes.plot(marks, [bar + 0.3] * len(marks), "D", color=VERMILION, clip_on=False)
        y = bar + 1.2
    axes.set(xlim=(0, longest), ylim=(TALLEST, 0), xlabel="ms since the step began", yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_title(rows[0].way)


def longest(found: dict[str, list[Ran]]) -> float:
    """How far an axis goes on which every step can be drawn, ms."""
    return 1.03 * max(row.end_ms for rows in found.values() for row in rows)


if __name__ == "__main__":
    with said_in_a_line():
        from experiment.training.startup import fix_rounding, import_tensorflow

        fix_rounding()
        import_tensorflow()
        text, rows = measure()
        (RESULTS / "timeline.md").write_text(text)
        with (RESULTS / "timeline.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([Ran._fields, *rows])
        found = read(RESULTS)
        with drawing(RESULTS / "timeline", 13, 5) as figure:
            for axes, rows in zip(figure.subplots(1, len(found)), found.values(), strict=True):
                draw(axes, rows, longest(found))
