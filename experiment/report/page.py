"""results/report.html: the findings on one page.

It begins with a stepper that shows the fault of the post's program, image by image. The pages of
`STORY` follow; their pictures are drawn anew from the files of `make results` and `make bench`. The
page needs no other file and no network.
"""

import base64
import io
import re
from collections.abc import Callable, Sequence
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
from experiment.report import pictures, speed
from experiment.report.experiments import EXPERIMENTS
from experiment.settings import PROJECT, RESULTS, Settings
from experiment.studies import definition, store, summary
from experiment.studies.many_boxes import plan
from experiment.studies.many_boxes import summary as many_boxes
from experiment.style import inline
from experiment.training import mnist
from experiment.training.mnist import SIDE, Split

# The pages of docs/, and what this page leaves to them: sections by heading, tables by file.
# Pictures that `drawings` lacks are left to them too.
STORY = {
    "what-happened": ("## The eight faults, and what each costs",),
    "synthetic-gradients": (
        "results/rules.md",
        "## With a schedule of the rate no run of *cdni* fails",
        "## Cosine and relative error along the training",
        "## Limits",
    ),
    "many-boxes": (
        "results/many-boxes/table.md",
        "### In the post's two boxes",
        "## How it was measured",
        "## Limits",
    ),
    "speed": (
        "## Four engines compute the same steps",
        "## `parallel` needs few rounds while the time boxes learn slowly",
        "## Rounding",
    ),
}
SUMMARY = (
    "The program never fixes the order of reads and writes of the hidden states, so the network "
    "answers for the previous image. This project runs it on today's TensorFlow and gets the same "
    "numbers; then it fixes the order, and both modes classify the images. The post's method is "
    "the synthetic gradient: a module beside each time box predicts the box's gradient. Modules "
    "that see the label let a network of 28 time boxes learn nearly as well as back-propagation."
)
# The runs of the stepper, by the order of reads and writes.
STEPPED = {"as run": "published-auto", "as drawn": "ordered-auto"}
# Characters of a table's cell that stay in a line.
UNBROKEN = 24
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
        "bench": [
            drawn(partial(speed.draw_steps, programs=bench["ms_per_step"]), 3, "ms of each program")
        ],
    }
    for name in ("claims", "rules"):
        study = definition.read(PROJECT / "presets" / "studies" / f"{name}.toml")
        figure, images = definition.ACCURACY[study.images]
        accuracy = summary.figures(store.read(results / "studies" / name), figure)
        points = partial(summary.draw_points, accuracy=accuracy)
        label = f"{images}: the accuracy of every run of the study {name}"
        height = 0.35 * len(accuracy) + 1.1
        shown[f"studies/{name}/points"] = [inline(points, WIDTH, height, label)]
    measured = plan.read(results / "many-boxes")
    draw_panel = partial(many_boxes.draw_accuracies, accuracy=many_boxes.accuracies(measured))
    shown["many-boxes/accuracy"] = [
        inline(partial(draw_panel, shown=[panel]), WIDTH, 4.6, label)
        for panel, (label, _) in many_boxes.PANELS.items()
    ]
    shown["many-boxes/cosines"] = [
        drawn(partial(draw, measured=measured), height, f"cosine, box by box: {of}")
        for draw, height, of in (
            (many_boxes.draw_cosines_of_cdni, 3.4, "cdni"),
            (many_boxes.draw_cosines_of_rules, 4, "every rule"),
        )
    ]
    return {f"../results/{name}.png": parts for name, parts in shown.items()}


def shortened(text: str, left_out: Sequence[str]) -> str:
    """A page of docs/ without these sections; a link in the place of these tables."""
    for part in left_out:
        if part.startswith("#"):
            level = part.index(" ")
            section = rf"^{re.escape(part)}\n.*?(?=^#{{1,{level}}} |\Z)"
            text = re.sub(section, "", text, flags=re.DOTALL | re.MULTILINE)
        else:
            table = rf"<!-- {part} -->\n.*?<!-- end -->"
            text = re.sub(table, f"[The figures](../{part})", text, flags=re.DOTALL)
    return text


def more(name: str, left_out: Sequence[str]) -> str:
    """The last paragraph of a page of docs/: a link to the whole, and the sections left out."""
    sections = [part.lstrip("# ") for part in left_out if part.startswith("#")]
    return f"\n\nMore in [docs/{name}.md]({name}.md): {'; '.join(sections)}.\n"


def as_html(text: str, name: str, shown: dict[str, list[str]]) -> Markup:
    """A page of docs/ as a part of this one, its headings a level lower.

    What is too wide for the window scrolls in a frame of its own, by keys too.

    Args:
        text: of the page, in Markdown.
        name: of the page: the address of its first heading.
        shown: of `drawings`; of any other picture there is a link.
    """

    def image(tokens: list[Token], index: int, *_: Any) -> str:
        caption, address = tokens[index].content, str(tokens[index].attrs["src"])
        if address not in shown:
            return f'<a href="{address}">{caption}</a>'
        parts = "".join(f"<span>{part}</span>" for part in shown[address])
        return f'<span class="drawings">{parts}</span><span class="caption">{caption}</span>'

    parser = MarkdownIt("commonmark", {"typographer": True})
    parser.enable(["table", "replacements", "smartquotes"])
    parser.add_render_rule("image", lambda self, *arguments: image(*arguments))
    text = re.sub(r"<!-- .*? -->\n", "\n", text)
    # Links between the pages of docs/, from where this page is.
    tokens = parser.parse(re.sub(r"\]\(([\w-]+\.md)", r"](../docs/\1", text))
    tokens[0].attrSet("id", name)
    header: list[str] = []
    heading, frames = "", 0
    for token, following in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + 1}"
            heading = following.content or heading
        elif token.type in ("table_open", "code_block"):
            frames += 1
            kind = "table" if token.type == "table_open" else "equations"
            label = f"{heading}, {kind} {frames}"
            frame = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": label}
            token.attrs |= frame
            header = []
        elif token.type == "th_open":
            header.append(following.content)
            # A column may have no title; a heading must.
            token.tag = "th" if following.content else "td"
        elif token.type == "th_close":
            token.tag = "th" if header[-1] else "td"
        elif token.type == "td_open" and len(following.content) <= UNBROKEN:
            token.attrSet("class", "unbroken")
    html = parser.renderer.render(tokens, parser.options, {})
    html = re.sub("<table (.*?)>", r"<div \1><table>", html)
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
    texts = {
        name: shortened((PROJECT / "docs" / f"{name}.md").read_text("utf-8"), left_out)
        + more(name, left_out)
        for name, left_out in STORY.items()
    }
    network = base64.b64encode((PROJECT / "docs/network.svg").read_bytes()).decode()
    graphs = [name for name, flags in EXPERIMENTS.items() if "--mode=numpy" not in flags]
    test = {name: read_predictions(results / name, "test") for name in graphs}
    labels = split.test.y.tolist()
    images = [image_address(x) for x in split.test.x]
    # The first image only leaves its hidden state to the one after.
    strip = pictures.STRIP[1:]
    return environment.get_template("page.html.j2").render(
        summary=SUMMARY,
        network=f"data:image/svg+xml;base64,{network}",
        contents={name: text.partition("\n")[0].removeprefix("# ") for name, text in texts.items()},
        minutes=round(sum(len(text.split()) for text in texts.values()) / WORDS_A_MINUTE),
        strip=strip,
        runs=STEPPED,
        stepper={
            "first": strip[0],
            "labels": [labels[i] for i in strip],
            "pictures": [images[i] for i in strip],
            "p": {wiring: test[name].p[strip].tolist() for wiring, name in STEPPED.items()},
        },
        story=[as_html(text, name, shown) for name, text in texts.items()],
        test=test,
        labels=labels,
        pictures=images,
    )


def make() -> None:
    """Writes the page."""
    (RESULTS / "report.html").write_text(page(RESULTS))
