"""Tables of all experiments, and of the cost of each fault.

results/README.md has all runs; fault-costs.md, finding.md, learning.md, rules.md and limit.md are
parts of other pages.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from experiment.evaluation.statistics import spread, wilson_interval
from experiment.markdown import markdown
from experiment.report.experiments import ABOUT, EXPERIMENTS, PRESETS, Run, read_all
from experiment.settings import RESULTS, Settings
from experiment.studies import store, summary
from experiment.training import mnist
from experiment.training.outcome import QUALITY
from graph.weights import portable_draw

# Percent; a run below has failed.
FAILED = 90
# The task of the presets.
TASK = Settings(digits=("01234", "56789"), train_images=2000, test_images=1000)
RULES = RESULTS / "studies" / "rules"
QUALITY_OF_RULES = RESULTS / "studies" / "quality"
# Where the gradient is the true one or zero, cosine and relative error follow; a readout has none.
EXACT: dict[str, Sequence[str]] = {
    "truncated": ("0", "1", "1", "0"),
    "bptt": ("1", "1", "0", "0"),
    "autodiff": ("1", "1", "0", "0"),
    "readout-20": ("–",) * 4,
    "readout-100": ("–",) * 4,
}
PICTURES = {"cost": "cost", "predictions": "images", "quality": "synthetic gradients"}


def _cost(run: Run) -> str:
    return f"{run.metrics['cost_first']:.3f} → {run.metrics['cost_last']:.3f}"


def _test(run: Run) -> str:
    return f"{run.metrics['test_correct']} of {run.metrics['test_total']}"


def _held_out(run: Run) -> str:
    low, high = run.metrics["held_out_interval_95"]
    accuracy = 100 * run.metrics["held_out_accuracy"]
    return f"{accuracy:.1f} % (95 % CI {100 * low:.1f} to {100 * high:.1f})"


def table_of(runs: dict[str, Run]) -> str:
    """The table of results/README.md."""
    rows = [
        (
            name,
            ABOUT[name],
            _cost(run),
            _test(run),
            _held_out(run),
            ", ".join(
                f"[{text}]({name}/{picture}.png)"
                for picture, text in PICTURES.items()
                if (RESULTS / name / f"{picture}.png").exists()
            ),
            f"`python reproduce.py {run.flags}`",
        )
        for name, run in runs.items()
    ]
    header = (
        "experiment",
        "description",
        "cost, first → last epoch",
        "test images correct",
        "held-out accuracy",
        "pictures",
        "command",
    )
    return markdown(header, rows)


def faults(runs: dict[str, Run]) -> str:
    """The held-out accuracy with and without each fault of docs/experiment.md §6."""

    def row(fault: str, with_it: str, without_it: str, remark: str) -> tuple[str, ...]:
        return fault, *(f"{name}: {accuracy(name)}" for name in (with_it, without_it)), remark

    def accuracy(name: str) -> str:
        return f"{100 * runs[name].metrics['held_out_accuracy']:.1f} %"

    low, high = (100 * share for share in wilson_interval(12, 20))
    rows = [
        row("1. stale hidden state, manual", "published-manual", "ordered-manual", ""),
        row("1. stale hidden state, auto", "published-auto", "ordered-auto", ""),
        row(
            "2. auto never trains the RNN",
            "ordered-auto",
            "connected-auto",
            "the readout's rate of 0.1 saturates the tanh units of the RNN",
        ),
        row(
            "2. the same, fixed, at a rate of 0.01",
            "ordered-auto",
            "one-rate/connected-auto",
            "at 0.01 the RNN learns, and the cost falls further",
        ),
        row("3. manual mode climbs", "ordered-manual", "descend/ordered-manual", ""),
        row(
            "4. the RNN is frozen: on 0–4 against 5–9, only the readout learns",
            "readout/connected-manual",
            "cdni/connected-manual",
            "each at its best rates; on zeros and ones, rates of 1e-6 and 0 give the same: "
            f"{accuracy('ordered-manual')} and {accuracy('lr_rec-0/ordered-manual')}",
        ),
        ("5. the seed seeds nothing", "–", "–", "fixed in every run"),
        ("6. unordered double updates", "–", "–", "fixed in every run"),
        ("7. a wrong derivative", "–", "–", "of arctan, which is not used"),
        ("8. 20 test images", "–", "–", f"12 of 20: 60 % (95 % CI {low:.0f} to {high:.0f})"),
        row("the Numpy post's inner product", "numpy-inner", "numpy-outer", ""),
    ]
    return markdown(("fault", "with it", "without it", "remark"), rows)


def finding(runs: dict[str, Run]) -> str:
    """The accuracy with and without the order of reads and writes, in two sentences."""
    accuracy = {n: f"{100 * run.metrics['held_out_accuracy']:.1f} %" for n, run in runs.items()}
    return (
        f"Of the {runs['published-auto'].metrics['held_out_total']:,} images that the post never "
        f"uses, *manual mode*, the updates by hand, classifies {accuracy['published-manual']} "
        f"correctly as the program runs, and {accuracy['ordered-manual']} with the order fixed. "
        f"*Auto mode*, automatic differentiation, classifies {accuracy['published-auto']} and "
        f"{accuracy['ordered-auto']}.\n"
    )


def learning(runs: list[dict[str, Any]]) -> str:
    """The result of the study of update rules, in three sentences."""
    accuracy = {n: 100 * v for n, v in summary.figures(runs, "held_out_accuracy").items()}
    readout, bptt = accuracy["readout-100"], accuracy["bptt"]

    def points(values: npt.NDArray[np.float64], form: str = "+.1f") -> str:
        mean, _, low, high = spread(values)
        return f"{mean:{form}} (95 % CI {low:{form}} to {high:{form}}, {len(values)} seeds)"

    return (
        "On 7,000 held-out images, 0–4 against 5–9, the readout alone, tuned and trained for 100 "
        f"epochs, classifies {points(readout, '.1f').replace(' (', ' % (')} correctly. If the time "
        "boxes learn too, from synthetic gradients whose modules see the label, the accuracy is "
        f"{points(accuracy['cdni'] - readout)} points higher; it differs from that of "
        f"back-propagation through time by {points(accuracy['cdni'] - bptt, '+.2f')} points. "
        f"Without the label it is {points(accuracy['dni'] - readout)} points higher.\n"
    )


def rules(runs: list[dict[str, Any]], of_quality: list[dict[str, Any]]) -> str:
    """The study of update rules in one table, with the quality of the gradients.

    Args:
        runs: of the study.
        of_quality: runs with `--diagnostics`.
    """
    quality = summary.qualities(of_quality)

    def course(name: str, of: str) -> str:
        means = quality[name][:, :, QUALITY.index(of)].mean(axis=0)
        return f"{means[0]:.2f} → {means[-1]:.2f}"

    rows = []
    for name, shares in summary.figures(runs, "held_out_accuracy").items():
        values = 100 * shares
        mean, _, low, high = spread(values)
        accuracy = f"{mean:.1f} ({low:.1f} to {high:.1f})", f"{values.min():.1f}"
        figures = [course(name, of) for of in summary.TABLED] if name in quality else EXACT[name]
        rows.append((name, f"{len(values)}", *accuracy, f"{np.sum(values < FAILED)}", *figures))
    header = ("rule", "seeds", "accuracy, % held out", "lowest", f"below {FAILED} %")
    return markdown((*header, *summary.TABLED.values()), rows)


def limit(settings: Settings) -> str:
    """The rate beyond which a module diverges, from the initial network, in two sentences."""
    x = mnist.split(mnist.load(settings.data_dir), settings).train.x
    w = portable_draw(settings.seed)
    a_1 = np.tanh(x @ w.w_x + w.hidden_states[:, 0] @ w.w_rec)
    a_2 = np.tanh(x @ w.w_x + a_1 @ w.w_rec)
    sizes = np.sum(np.concatenate([a_1, a_2]) ** 2, axis=1)
    return (
        f"Before the first epoch |a|² of the {len(x):,} training images is {sizes.mean():.0f} on "
        f"average, and {sizes.min():.0f} to {sizes.max():.0f}. For the largest of them 2/|a|² is "
        f"{2 / sizes.max():.1e}.\n"
    )


def make() -> None:
    """Writes them all."""
    experiments, presets = read_all(EXPERIMENTS), read_all(PRESETS)
    (RESULTS / "finding.md").write_text(finding(experiments))
    (RESULTS / "learning.md").write_text(learning(store.read(RULES)))
    (RESULTS / "rules.md").write_text(rules(store.read(RULES), store.read(QUALITY_OF_RULES)))
    (RESULTS / "limit.md").write_text(limit(TASK))
    (RESULTS / "fault-costs.md").write_text(faults(experiments | presets))
    (RESULTS / "README.md").write_text(
        "# Results\n\n"
        "`make results` writes this page and runs every command on it. "
        "[docs/what-happened.md](../docs/what-happened.md) explains them.\n\n"
        f"{table_of(experiments)}\n"
        "0–4 against 5–9, a harder task, on which the time boxes learn "
        "([docs/synthetic-gradients.md](../docs/synthetic-gradients.md)):\n\n"
        f"{table_of(presets)}\n"
        "The studies are in [studies/](studies), by `make studies`; 28 time boxes in "
        "[many-boxes/](many-boxes) ([docs/many-boxes.md](../docs/many-boxes.md)). The order of "
        "operations in a step is in [timeline.csv](timeline.csv), by `make results`; its speed in "
        "[bench.md](bench.md), by `make bench` ([docs/speed.md](../docs/speed.md)).\n"
    )
