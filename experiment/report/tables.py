"""`python -m experiment.report.tables`: what the experiments show, and what each fault costs.

results/README.md has them all; table.md, fault-costs.md and finding.md are for other pages.
"""

from experiment.evaluation.statistics import wilson_interval
from experiment.markdown import markdown
from experiment.report.experiments import ABOUT, EXPERIMENTS, PRESETS, Run, read_all
from experiment.settings import RESULTS

PICTURES = {"cost": "cost", "predictions": "images", "quality": "synthetic gradients"}


def _cost(run: Run) -> str:
    return f"{run.metrics['cost_first']:.3f} → {run.metrics['cost_last']:.3f}"


def _test(run: Run) -> str:
    return f"{run.metrics['test_correct']} of {run.metrics['test_total']}"


def _held_out(run: Run) -> str:
    low, high = run.metrics["held_out_interval_95"]
    return f"{run.metrics['held_out_accuracy']:.1%} ({low:.1%}–{high:.1%})"


def short_table(runs: dict[str, Run]) -> str:
    """What each experiment is, and what it shows."""
    rows = [
        (f"[{name}](../results/{name})", ABOUT[name], _cost(run), _test(run), _held_out(run))
        for name, run in runs.items()
    ]
    header = ("experiment", "what it is", "cost, first → last epoch", "test", "held out (95 %)")
    return markdown(header, rows)


def whole_table(runs: dict[str, Run]) -> str:
    """The table of results/README.md."""
    rows = [
        (
            name,
            _cost(run),
            _test(run),
            _held_out(run),
            f"{run.timing['ms_per_step']:.2f}",
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
        "cost, first → last epoch",
        "test images right",
        "held out right (95 % interval)",
        "ms per step",
        "pictures",
        "command",
    )
    return markdown(header, rows)


def faults(runs: dict[str, Run]) -> str:
    """What each fault of docs/experiment.md §6 costs, in held-out accuracy.

    Args:
        runs: of the experiments and of the presets.
    """

    def row(fault: str, with_it: str, without_it: str, remark: str) -> tuple[str, str, str, str]:
        return (
            fault,
            f"{_held_out(runs[with_it])} {with_it}",
            f"{_held_out(runs[without_it])} {without_it}",
            remark,
        )

    def accuracy(name: str) -> str:
        return f"{runs[name].metrics['held_out_accuracy']:.1%}"

    low, high = wilson_interval(12, 20)
    rows = [
        row("1. stale hidden state, manual", "published-manual", "ordered-manual", ""),
        row("1. stale hidden state, auto", "published-auto", "ordered-auto", ""),
        row(
            "2. auto never trains the RNN",
            "ordered-auto",
            "connected-auto",
            "the rate of 0.1, which suits the readout, saturates the tanh units of the RNN",
        ),
        row(
            "2. the same, mended at rate 0.01",
            "ordered-auto",
            "one-rate/connected-auto",
            "differs in the rate too: at 0.01 the RNN learns, and the cost falls further",
        ),
        row("3. manual mode climbs", "ordered-manual", "descend/ordered-manual", ""),
        row(
            "4. the RNN is frozen: on threes against eights, with lr_rec 0",
            "frozen/connected-manual",
            "dni/connected-manual",
            "each at the rates that suit it best. On zeros and ones the post's 1e-6 does what 0 "
            f"does: {accuracy('ordered-manual')} and {accuracy('lr_rec-0/ordered-manual')}",
        ),
        ("5. the seed seeds nothing", "–", "–", "mended in every run"),
        ("6. unordered double updates", "–", "–", "mended in every run"),
        ("7. a wrong derivative", "–", "–", "of arctan, which is not used"),
        ("8. 20 test images", "–", "–", f"12 right of 20 may be {low:.0%}–{high:.0%}"),
        row("the Numpy post's inner product", "numpy-inner", "numpy-outer", ""),
    ]
    return markdown(("fault", "held out, with it", "held out, without it", "remark"), rows)


def finding(runs: dict[str, Run]) -> str:
    """What the order of reads and writes is worth, in a sentence."""
    right = {name: f"{run.metrics['held_out_accuracy']:.1%}" for name, run in runs.items()}
    return (
        f"Of the {runs['published-auto'].metrics['held_out_total']:,} images that the post never "
        f"looks at, manual and auto get {right['published-manual']} and {right['published-auto']} "
        f"right as posted, {right['ordered-manual']} and {right['ordered-auto']} with the order "
        "stated.\n"
    )


if __name__ == "__main__":
    experiments, presets = read_all(EXPERIMENTS), read_all(PRESETS)
    (RESULTS / "finding.md").write_text(finding(experiments))
    (RESULTS / "table.md").write_text(short_table(experiments))
    (RESULTS / "fault-costs.md").write_text(faults(experiments | presets))
    (RESULTS / "README.md").write_text(
        "# Results\n\n"
        "Written by `make results`, which runs every command below. A step is one training image. "
        "Milliseconds differ from run to run, all else does not. What it all means: "
        "[docs/what-happened.md](../docs/what-happened.md).\n\n"
        f"{whole_table(experiments)}\n"
        "Threes against eights, a harder task, on which the time boxes do learn "
        "([docs/synthetic-gradients.md](../docs/synthetic-gradients.md)):\n\n"
        f"{whole_table(presets)}"
    )
