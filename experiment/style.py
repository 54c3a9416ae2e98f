"""The colours and the frame of every picture, in files and on the page."""

import contextlib
import io
import re
import zlib
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
}
# The coordinates of an SVG; scaled ones are left alone.
COORDINATES = re.compile(r'( (?:d|x|y|width|height)="|(?:translate|rotate)\()([^")]*)')
# The names of these colours in the light and the dark scheme of a page.
ON_A_PAGE = {
    BLUE: "--blue",
    VERMILION: "--red",
    GREY: "--trace",
    DARK_GREY: "--soft",
    "#000000": "--ink",
}


@contextlib.contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yields a figure in the style of this project, and saves it as .png and .svg.

    Args:
        path: of the two files, without ending.
        width: inches.
        height: inches.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        # Without date and version, so that the files are the same from run to run.
        figure.savefig(path.with_suffix(".png"), dpi=120, metadata={"Software": None})
        figure.set_layout_engine("none")  # The layout is done; a second one would double the time.
        path.with_suffix(".svg").write_text(svg(figure, "n"), "utf-8")


def svg(figure: Figure, name: str, **options: Any) -> str:
    """A figure as SVG, the same from every processor.

    Coordinates are rounded to a hundredth of a point. Matplotlib names parts by a hash of all their
    digits; here names are numbers.

    Args:
        figure: drawn.
        name: the beginning of the parts' names.
        options: of `savefig`.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing, **options)
    text = COORDINATES.sub(
        lambda part: part[1] + re.sub(r"-?\d+\.\d+", _hundredths, part[2]), file.getvalue()
    )
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#([^")]*)', text))
    names = {old: f"{name}{number}" for number, old in enumerate(used)}
    text = re.sub(
        r' id="([^"]*)"', lambda old: f' id="{names[old[1]]}"' if old[1] in names else "", text
    )
    return re.sub(r'(href="|url\()#([^")]*)', lambda use: f"{use[1]}#{names[use[2]]}", text)


def _hundredths(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 2) + 0:.2f}".rstrip("0").rstrip(".")  # + 0: no minus zero


def inline(draw: Callable[[Figure], None], width: float, height: float, label: str) -> str:
    """A drawing as part of a page: an `<svg>` with text as text and the page's colours.

    Args:
        draw: draws on a figure.
        width: inches; the drawing shrinks with the window.
        height: inches.
        label: for screen readers; unique on the page.
    """
    with matplotlib.rc_context({**STYLE, "svg.fonttype": "none", "font.size": 11}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        # The names of parts are unique on the page.
        text = svg(figure, f"n{zlib.crc32(label.encode())}-", transparent=True)
    view_box = re.findall(r'viewBox="[^"]*"', text)[0]
    text = text[text.index("<defs>") :]
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font: \1 system-ui, sans-serif", text)
    for color, name in ON_A_PAGE.items():
        text = text.replace(color.lower(), f"var({name})")
    size = f"width: 100%; max-width: {100 * width:.0f}px"
    return f'<svg role="img" aria-label="{escape(label)}" {view_box} style="{size}">\n{text}'
