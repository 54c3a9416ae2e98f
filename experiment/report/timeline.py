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

BAR = 1.4  # How high a bar is with the room around it; a line of text is 1.
COLORS = {"forward": BLUE, "back": DARK_GREY, "learn": DARK_GREY}


class Ran(NamedTuple):
    """When an operation ran, a row of results/timeline.csv.

    Attributes:
        way: to train.
        box: of the step that it belongs to.
        kind: of the box: "forward", "back" or "learn".
        operation: its name.
        start_ms, end_ms: from the begin of the step.
        changes: the weight that it changes, if it does.
        after: what that waits for.
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
    """The table of what must come before each update, and when each operation of a step ran."""
    # Imported this late because the page draws what was found without TensorFlow.
    from experiment.evaluation import timeline

    lines, rows = [], []
    for way, (operations, times) in timeline.trace(timeline.WAYS, timeline.STEPS).items():
        _, boxes = timeline.WAYS[way]
        updates = timeline.updates(operations, boxes)
        for same, those in groupby(updates, key=lambda update: update._replace(name="", weight="")):
            weights = ", ".join(update.weight for update in those)
            share = f"{same.products} of {same.total} ({same.products / same.total:.0%})"
            lines.append((way, weights, same.box, share, str(same.chain), same.said()))
        changes = {update.name: (update.weight, update.said()) for update in updates}
        of_way = []
        for operation in operations:
            box = timeline.box_of(boxes, operation)
            # The cost has none, nor what only hands values on.
            if box is not None and operation.type not in timeline.NOTHING:
                start, end = (round(ms, 4) for ms in times[operation.name])
                what = way, box, timeline.kind_of(box), operation.name
                of_way.append(Ran(*what, start, end, *changes.get(operation.name, ("", ""))))
        order = list(dict.fromkeys(boxes.values()))
        rows += sorted(of_way, key=lambda row: (order.index(row.box), row.start_ms))
    header = (
        "gradients by", "weights", "changed in", "matrix products before, of all", "in a row",
        "after",
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
        for way, box, kind, operation, start, end, changes, after in rows:
            for text in (way, box, operation, changes, after):
                plain(text)
            check(kind in COLORS, "kinds")
            ran = Ran(way, box, kind, operation, float(start), float(end), changes, after)
            check(0 <= number(ran.start_ms) <= number(ran.end_ms) < LONGEST, "times")
            found[way].append(ran)
        check(extent_of(found)[0] > 0, "times")
    return found


def draw(axes: Axes, rows: Sequence[Ran], extent: tuple[float, float]) -> None:
    """A step, box by box: a bar where it computes, a mark where weights change, and after what.

    Args:
        axes: to draw on.
        rows: of one way, box by box.
        extent: of a way that needs the most room, see `extent_of`.
    """
    y = 0.0
    for box, group in groupby(rows, key=lambda row: row.box):
        ran = list(group)
        bars = [(row.start_ms, row.end_ms - row.start_ms) for row in ran]
        changes = [row for row in ran if row.changes]
        bar = y + _lines(ran)
        axes.text(0, y, box, va="top", in_layout=False)
        axes.broken_barh(bars, (bar + 0.2, 0.6), color=COLORS[ran[0].kind])
        if changes:
            text = "; ".join(
                f"{', '.join(row.changes for row in those)}: after {after}"
                for after, those in groupby(changes, key=lambda row: row.after)
            )
            axes.text(0, y + 1, text, va="top", color=VERMILION, in_layout=False)
            marks = [row.end_ms for row in changes]
            axes.plot(marks, [bar + 0.5] * len(marks), "D", color=VERMILION, clip_on=False)
        y = bar + BAR
    longest, tallest = extent
    axes.set(xlim=(0, longest), ylim=(tallest, 0), xlabel="ms since the step began", yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_title(rows[0].way)


def _lines(ran: Sequence[Ran]) -> int:
    """How many lines of text a box has."""
    return 2 if any(row.changes for row in ran) else 1


def extent_of(found: dict[str, list[Ran]]) -> tuple[float, float]:
    """How far axes go on which every step can be drawn: ms, and lines of text."""
    longest = max(row.end_ms for rows in found.values() for row in rows)
    tallest = max(
        sum(_lines(list(ran)) + BAR for _, ran in groupby(rows, key=lambda row: row.box))
        for rows in found.values()
    )
    return 1.03 * longest, tallest


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
                draw(axes, rows, extent_of(found))
