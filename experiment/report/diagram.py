"""`python -m experiment.report.diagram`: docs/network.svg, the network with its guesses.

The numbers are those of the post's boxes: the steps of `graph.backprop.ordered_manual`. The names
are those of the variables in graph/weights.py.
"""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from experiment.settings import PROJECT
from experiment.style import BLUE, DARK_GREY, VERMILION, inline
from graph.weights import Weights

# The colours of results/report.html.
SCHEMES = """<style>
svg { --ink: #1b1b1b; --soft: #595959; --blue: #0068a0; --red: #b34700; }
@media (prefers-color-scheme: dark) {
svg { --ink: #ececec; --soft: #b0b0b0; --blue: #5cb8f0; --red: #ff9a57; }
}
svg text, svg path:not([style*="fill"], defs path) { fill: var(--ink); }
</style>"""
BOXES = {1: (2.6, 1.5), 2: (5.8, 1.5), 3: (9.0, 1.5)}
MODULES = {1: (2.6, 3.7), 2: (5.8, 3.7)}
WIDTH, HEIGHT = 1.9, 0.9


def box(axes: Axes, place: tuple[float, float], text: str, **style: Any) -> None:
    """A box around a text of two lines."""
    x, y = place
    corner = (x - WIDTH / 2, y - HEIGHT / 2)
    frame = FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0.05", facecolor="none", **style)
    axes.add_patch(frame)
    axes.text(x, y, text, ha="center", va="center", fontsize=10, linespacing=1.5)


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str,
    at: tuple[float, float],
    **style: Any,
) -> None:
    """An arrow, and beside its middle, so far away, what it carries."""
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", **style})
    x, y = (start[0] + end[0]) / 2 + at[0], (start[1] + end[1]) / 2 + at[1]
    axes.text(x, y, text, ha="center", va="center", fontsize=10)


def number(axes: Axes, place: tuple[float, float], text: str) -> None:
    """The number of a step, in a circle."""
    circle = {"boxstyle": "circle,pad=0.25", "facecolor": "none", "edgecolor": VERMILION}
    axes.text(*place, text, ha="center", va="center", fontsize=9, color=VERMILION, bbox=circle)


def draw(figure: Figure) -> None:
    """Time boxes and readout, joined by hidden states; the modules that guess, dashed."""
    _, w_x, w_rec, w_fc, w_sg_1, w_sg_2 = Weights._fields
    axes = figure.add_subplot()
    axes.set(xlim=(0, 11.4), ylim=(-0.4, 4.7))
    axes.set_axis_off()
    solid: dict[str, Any] = {"color": "#000000"}
    guess: dict[str, Any] = {"color": BLUE, "linestyle": "--"}
    for k in (1, 2):
        (x, y), (_, above) = BOXES[k], MODULES[k]
        box(axes, (x, y), f"time box {k}\na{k} = tanh(z{k})", edgecolor="#000000")
        box(
            axes, (x, above), f"module {k}\nĝ{k} = a{k}·{(w_sg_1, w_sg_2)[k - 1]}",
            edgecolor=BLUE, linestyle="--",
        )  # fmt: skip
        up, down = y + HEIGHT / 2 + 0.1, above - HEIGHT / 2 - 0.1
        arrow(axes, (x - 0.3, up), (x - 0.3, down), f"a{k}", (-0.2, 0), **guess)
        arrow(axes, (x + 0.3, down), (x + 0.3, up), f"ĝ{k}", (0.2, 0), **guess)
        arrow(axes, (x, 0), (x, y - HEIGHT / 2 - 0.1), w_x, (0.35, 0), **solid)
        axes.text(x, -0.2, "image x", ha="center", va="center", fontsize=10)
        after = BOXES[k + 1][0] - WIDTH / 2
        ends = (after + 0.4, y + HEIGHT / 2 + 0.1), (x + WIDTH / 2 + 0.1, above - 0.2)
        arrow(axes, *ends, f"t{k}", (0.2, 0.1), color=DARK_GREY)
        number(axes, (x - WIDTH / 2, y + HEIGHT / 2 + 0.3), str(2 * k - 1))
        number(axes, (x + 0.85, (up + down) / 2), str(2 * k))
        number(axes, (x + WIDTH / 2 + 0.6, y + HEIGHT / 2 + 0.65), str(2 * k + 3))
    box(axes, BOXES[3], f"readout\np = σ(h2·{w_fc})", edgecolor="#000000")
    number(axes, (BOXES[3][0] + WIDTH / 2, BOXES[3][1] + HEIGHT / 2 + 0.3), "6")
    y = BOXES[1][1]
    arrow(axes, (0.4, y), (BOXES[1][0] - WIDTH / 2 - 0.1, y), f"h0  {w_rec}", (0, 0.25), **solid)
    for k, text in ((1, f"h1  {w_rec}"), (2, "h2")):
        ends = (BOXES[k][0] + WIDTH / 2 + 0.1, y), (BOXES[k + 1][0] - WIDTH / 2 - 0.1, y)
        arrow(axes, *ends, text, (0, 0.25), **solid)
    arrow(axes, (BOXES[3][0] + WIDTH / 2 + 0.1, y), (11.2, y), "p", (0, 0.25), **solid)


def network() -> str:
    """The content of docs/network.svg."""
    label = "The network: two time boxes, a readout, and the modules that guess the gradients"
    svg = inline(draw, 9, 4, label).replace("width: 100%; max-width: 900px", "", 1)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    start, rest = svg.split("\n", 1)
    return f"{start.replace('<svg', f'<svg {spaces}')}\n{SCHEMES}\n{rest}"


if __name__ == "__main__":
    (PROJECT / "docs" / "network.svg").write_text(network())
