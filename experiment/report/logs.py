"""traces/<name>.log: the recorded runs of the post's program in its own print format."""

from experiment.evaluation import recorded_runs
from experiment.evaluation.log import log_text


def make() -> None:
    """Writes them from traces/<name>.json."""
    for recorded in recorded_runs.load():
        if recorded.program == recorded_runs.TENSORFLOW:
            text = log_text(recorded.costs, recorded.test, recorded.test_labels)
            recorded.path.with_suffix(".log").write_text(text)
