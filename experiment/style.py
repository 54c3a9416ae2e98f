"""The colours and the frame of every picture, in files and on the page."""

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#BBBBBB"
DARK_GREY = "#595959"
CYCLE = [BLUE, VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", DARK_GREY]
STYLE: dict[Any, Any] = {
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    # Names of parts of a file would be drawn at random.
    "svg.hashsalt": "results",
}
# On a page the colours are those of its light or its dark scheme, under these names.
ON_A_PAGE = {
    BLUE: "--blue",
    VERMILION: "--red",
    GREY: "--trace",
    DARK_GREY: "--soft",
    "#000000": "--ink",
}


@contextlib.contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure in the style of this project, to be drawn on; it is saved as .png and .svg.

    Args:
        path: of the two files, without the ending.
        width: inches.
        height: inches.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        # Without date and version, so that the files are the same from run to run.
        figure.savefig(path.with_suffix(".png"), dpi=120, metadata={"Software": None})
        figure.set_layout_engine("none")  # All stays in its place, which took half of the time.
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


def inline(draw: Callable[[Figure], None], width: float, height: float, label: str) -> str:
    """A drawing as a part of a page: an `<svg>` whose text is text, and whose colours the page's.

    Args:
        draw: draws on a figure.
        width: inches; it shrinks with the window.
        height: inches.
        label: what it shows, for those who do not see it; no other on the page has the same.
    """
    # The parts that have names must have others than those of other drawings.
    style = {**STYLE, "svg.fonttype": "none", "svg.hashsalt": label, "font.size": 11}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        file = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    view_box = re.findall(r'viewBox="[^"]*"', text)[0]
    text = text[text.index("<defs>") :]
    used = set(re.findall(r"#(\w+)", text))
    text = re.sub(r' id="([^"]*)"', lambda name: name[0] if name[1] in used else "", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font: \1 system-ui, sans-serif", text)
    for color, name in ON_A_PAGE.items():
        text = text.replace(color.lower(), f"var({name})")
    size = f"width: 100%; max-width: {100 * width:.0f}px"
    return f'<svg role="img" aria-label="{escape(label)}" {view_box} style="{size}">\n{text}'
