"""`python -m experiment.report.logs`: the recorded runs of the post's program, as it prints them.

traces/<name>.json → traces/<name>.log, for `diff` with the log.txt of a run.
"""

from experiment.evaluation import traces
from experiment.evaluation.log import log_text

if __name__ == "__main__":
    for trace in traces.load():
        if trace.program == traces.TENSORFLOW:
            text = log_text(trace.costs, trace.test, trace.test_labels)
            trace.path.with_suffix(".log").write_text(text)
