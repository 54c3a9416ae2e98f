"""results/report.html: the findings on one page.

It begins with a stepper that shows the fault of the post's program, image by image. The pages of
`STORY` follow; their pictures are drawn anew from the files of `make results` and `make bench`. The
page needs no other file and no network.
"""

import base64
import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from matplotlib.axes import Axes

from experiment.evaluation.run_files import read_predictions
from experiment.report import pictures, speed, timeline
from experiment.report.experiments import EXPERIMENTS
from experiment.settings import PROJECT, RESULTS, Settings
from experiment.studies import definition, store, summary
from experiment.studies.many_boxes import plan
from experiment.studies.many_boxes import summary as many_boxes
from experiment.style import inline
from experiment.training import mnist
from experiment.training.mnist import SIDE, Split

STORY = ("what-happened", "synthetic-gradients", "many-boxes", "speed")
SUMMARY = (
    "The program never fixes the order of reads and writes of the hidden states, so the network "
    "answers for the previous image. This project runs it on today's TensorFlow and gets the same "
    "numbers; then it fixes the order, and both modes classify the images. Its method is the "
    "synthetic gradient: a module beside each time box predicts the box's gradient. Modules that "
    "see the label let a network of 28 time boxes learn nearly as well as back-propagation."
)
WORDS_A_MINUTE = 220
# Inches: as wide as a phone, on which text is then as large as elsewhere.
WIDTH = 4.4


def image_address(x: npt.NDArray[Any]) -> str:
    """An image, [784], dark on light, as the address of a PNG."""
    file = io.BytesIO()
    # Without the name of the software, so that the page is the same from every version.
    metadata: Any = {"Software": None}
    pixels = x.reshape(SIDE, SIDE)
    matplotlib.image.imsave(file, pixels, cmap="gray_r", vmin=0, vmax=1, metadata=metadata)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def drawn(draw: Callable[[Axes], None], height: float, label: str) -> str:
    """A drawing with one pair of axes, as a part of the page; inches."""
    return inline(lambda figure: draw(figure.add_subplot()), WIDTH, height, label)


def drawings(results: Path, split: Split) -> dict[str, list[str]]:
    """The drawings that replace each picture of docs/, by the picture's address."""
    bench = speed.read_bench(results)
    predictions = read_predictions(results / "published-auto", "test")
    steps = timeline.read(results)
    extent = timeline.extent_of(steps)
    strip = partial(pictures.draw_strip, images=split.test.x, predictions=predictions)
    shown = {
        "strip": [
            inline(strip, WIDTH, 2, "Seven test images, and the prediction of auto mode for each")
        ],
        "shift": [
            drawn(
                partial(pictures.draw_shift, shares=pictures.agreement(results, name), title=title),
                2.4,
                f"{title}: share of predictions that equal the label at each distance",
            )
            for name, title in pictures.SHIFTED.items()
        ],
        "costs": [
            drawn(draw, 2.4, f"{name}: cost per epoch")
            for name, draw in pictures.cost_drawings(results).items()
        ],
        "timeline": [
            drawn(partial(timeline.draw, rows=rows, extent=extent), 5, f"A step, by {way}")
            for way, rows in steps.items()
        ],
        "bench": [
            drawn(partial(speed.draw_steps, programs=bench["ms_per_step"]), 3, "ms of each program")
        ],
        "rounds": [
            drawn(partial(speed.draw_rounds, by_rate=bench["rounds"]), 3, "rounds at each rate")
        ],
    }
    for name in ("claims", "rules", "combinations"):
        study = definition.read(PROJECT / "presets" / "studies" / f"{name}.toml")
        figure, images = definition.ACCURACY[study.images]
        runs = store.read(results / "studies" / name)
        accuracy = summary.figures(runs, figure)
        quality = summary.qualities(runs)
        points = partial(summary.draw_points, accuracy=accuracy)
        label = f"{images}: the accuracy of every run of the study {name}"
        height = 0.35 * len(accuracy) + 1.1
        shown[f"studies/{name}/points"] = [inline(points, WIDTH, height, label)]
        if name == "rules":
            draw = partial(summary.draw_quality, quality=quality)
            label = "cosine and relative error of both time boxes, epoch by epoch"
            shown[f"studies/{name}/quality"] = [inline(draw, WIDTH, 5, label)]
    measured = plan.read(results / "many-boxes")
    draw_panel = partial(many_boxes.draw_accuracies, accuracy=many_boxes.accuracies(measured))
    shown["many-boxes/accuracy"] = [
        inline(partial(draw_panel, shown=[panel]), WIDTH, 4, label)
        for panel, (label, _) in many_boxes.PANELS.items()
    ]
    shown["many-boxes/cosines"] = [
        drawn(
            partial(many_boxes.draw_cosines_of_cdni, measured=measured),
            3.4,
            "cosine, box by box: cdni",
        ),
        drawn(
            partial(many_boxes.draw_cosines_of_rules, measured=measured),
            4,
            "cosine, box by box: every rule",
        ),
    ]
    return {f"../results/{name}.png": parts for name, parts in shown.items()}


def as_html(text: str, name: str, shown: dict[str, list[str]]) -> Markup:
    """A page of docs/ as a part of this one, its headings a level lower.

    Args:
        text: of the page, in Markdown.
        name: of the page: the address of its first heading.
        shown: of `drawings`.
    """

    def image(tokens: list[Token], index: int, *_: Any) -> str:
        token = tokens[index]
        parts = "".join(f"<span>{part}</span>" for part in shown[str(token.attrs["src"])])
        return f'<span class="drawings">{parts}</span><span class="caption">{token.content}</span>'

    parser = MarkdownIt("commonmark", {"typographer": True})
    parser.enable(["table", "replacements", "smartquotes"])
    parser.add_render_rule("image", lambda self, *arguments: image(*arguments))
    text = re.sub(r"<!-- .*? -->\n", "\n", text)
    # Links between the pages of docs/, from where this page is.
    tokens = parser.parse(re.sub(r"\]\(([\w-]+\.md)", r"](../docs/\1", text))
    tokens[0].attrSet("id", name)
    header: list[str] = []
    heading, tables = "", 0
    for token, following in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + 1}"
            heading = following.content or heading
        elif token.type == "table_open":
            # Where it is too wide it scrolls, by keys too.
            tables += 1
            label = f"{heading}, table {tables}"
            token.attrs |= {"tabindex": "0", "role": "region", "aria-label": label}
            header = []
        elif token.type == "th_open":
            header.append(following.content)
            # A column may have no title; a heading must.
            token.tag = "th" if following.content else "td"
        elif token.type == "th_close":
            token.tag = "th" if header[-1] else "td"
    html = parser.renderer.render(tokens, parser.options, {})
    html = re.sub("<table (.*?)>", r'<div class="scroll" \1><table>', html)
    return Markup(html.replace("</table>", "</table></div>"))


def page(results: Path) -> str:
    """The page, from what is in the folder of all results."""
    settings = Settings()
    split = mnist.split(mnist.load(settings.data_dir), settings)
    shown = drawings(results, split)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts = {name: (PROJECT / "docs" / f"{name}.md").read_text("utf-8") for name in STORY}
    network = base64.b64encode((PROJECT / "docs/network.svg").read_bytes()).decode()
    graphs = [name for name, flags in EXPERIMENTS.items() if "--mode=numpy" not in flags]
    test = {name: read_predictions(results / name, "test") for name in graphs}
    labels = split.test.y.tolist()
    strip = pictures.STRIP
    p = {
        wiring: test[name].p[strip].tolist()
        for wiring, name in (("as run", "published-auto"), ("as drawn", "ordered-auto"))
    }
    return environment.get_template("page.html.j2").render(
        summary=SUMMARY,
        network=f"data:image/svg+xml;base64,{network}",
        contents={name: text.partition("\n")[0].removeprefix("# ") for name, text in texts.items()},
        minutes=round(sum(len(text.split()) for text in texts.values()) / WORDS_A_MINUTE),
        strip=strip,
        p=p,
        stepper={"first": strip[0], "labels": [labels[i] for i in strip], "p": p},
        story=[as_html(text, name, shown) for name, text in texts.items()],
        test=test,
        labels=labels,
        pictures=[image_address(x) for x in split.test.x],
    )


def make() -> None:
    """Writes the page."""
    (RESULTS / "report.html").write_text(page(RESULTS))
