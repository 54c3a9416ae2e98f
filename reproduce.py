"""Reproduces "Manual Back Prop with TensorFlow" (Jae Duk Seo, 2018).

flags → data → graph → session → results.
"""

import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from experiment.errors import UserError
from experiment.storage.interruption import Interrupted, Signals
from experiment.training.startup import fix_rounding, import_tensorflow, silence_matplotlib

if TYPE_CHECKING:
    from pathlib import Path

    from experiment.settings import Settings
    from experiment.storage.checkpoint import Checkpoints
    from experiment.training.outcome import History
    from experiment.training.session import Running


def main() -> None:
    """Runs the experiment, or the study, that the flags name."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Not every terminal can show an arrow.
    import flags

    settings = flags.parse(sys.argv)
    fix_rounding()
    silence_matplotlib()
    # Imported late: the help, and an error in a flag, need none of these.
    from experiment.storage.checkpoint import Checkpoints
    from experiment.storage.folder import resolved

    study_file = flags.study()
    if study_file is not None:
        do_study(study_file, settings, flags.scheduler(), dashboard=flags.dashboard())
        return
    checkpoints = Checkpoints(resolved(settings.results_dir / settings.name) / "checkpoint")
    try:
        report = reproduce(settings, checkpoints, Signals(), verbose=flags.verbose())
    except Interrupted as interrupted:
        epochs = checkpoints.epochs()
        then = f"--resume goes on after epoch {epochs[-1]}" if epochs else "nothing was written"
        end(interrupted, then)
    folder = f"Results: {settings.results_dir / settings.name}"
    try:
        print(f"{report}\n{folder}", flush=True)
    except Interrupted as interrupted:
        end(interrupted, folder)


def end(interrupted: Interrupted, then: str) -> NoReturn:
    """Ends the command after a signal; `then` tells how to go on."""
    print(f"reproduce.py: interrupted: {then}", file=sys.stderr)
    sys.exit(128 + interrupted.number)


def do_study(file: "Path", settings: "Settings", scheduler: str | None, *, dashboard: bool) -> None:
    """Does the missing runs of a study, and prints its tables."""
    import flags
    from experiment.studies import definition

    study = definition.read(file)
    jobs = study.jobs(settings, flags.parse)
    folder = settings.results_dir / "studies" / study.name
    try:
        from experiment.studies import runner  # imports Dask
    except ModuleNotFoundError as error:
        raise UserError(f"--study needs the package {error.name}: call make setup-lab") from None
    Signals()
    try:
        runner.run(study, jobs, folder, scheduler, dashboard=dashboard)
        print(f"{(folder / 'README.md').read_text('utf-8')}\nResults: {folder}", flush=True)
    except Interrupted as interrupted:
        end(interrupted, f"completed runs are kept in {folder}, and the same command goes on")


def reproduce(
    settings: "Settings", checkpoints: "Checkpoints", signals: Signals, *, verbose: bool
) -> str:
    """Trains, predicts, compares, and writes the results; returns the text to print."""
    from experiment.evaluation import claims, log, metrics, run_files
    from experiment.evaluation.run import run
    from experiment.storage import folder
    from experiment.training import mnist
    from experiment.training.outcome import START
    from experiment.training.progress import Progress

    data = mnist.load(settings.data_dir, allow_other=settings.allow_other_data)
    split = mnist.split(data, settings)
    del data  # All of MNIST: no run needs more than its split.
    target = settings.results_dir / settings.name
    keep = [checkpoints.folder.name] if settings.keep_checkpoints else []
    known = run_files.FILES | {checkpoints.folder.name, "tensorboard"}
    with folder.replacing(target, signals, known, keep) as new:
        start, events = START, None
        if settings.mode != "numpy":
            start = checkpoints.start(settings, split)
            if not verbose:
                import_tensorflow()
        if settings.tensorboard:
            from experiment.evaluation.tensorboard import Events

            events = Events(new / "tensorboard")
        begun = len(start.history.costs)
        with Progress(settings.epochs, begun) as progress, signals.deferred():

            def observe(history: "History", running: "Running | None") -> None:
                if running and events:
                    events.observe(history, running)
                if len(history.costs) == begun:
                    return
                progress(len(history.costs), history.costs[-1])
                if running:
                    interrupted = signals.received is not None
                    checkpoints.after_epoch(history, running.save, interrupted=interrupted)
                signals.check()

            outcome, measured, recorded = run(settings, split, start, observe)
        signals.check()
        if outcome.history.rounds > 8:
            print(
                f"a block took {outcome.history.rounds} rounds: --engine=delayed suits this "
                "--lr_rec better",
                file=sys.stderr,
            )
        if events:
            events.finish(settings.epochs, split.test, outcome.test, settings.digits)
        timing = metrics.timing(settings, outcome)
        diff = claims.diff_text(settings, measured, recorded)
        run_files.write(new, split, outcome, measured, timing, diff, recorded)
        return "\n".join([*log.prediction_lines(outcome.test, split.test.y), "", diff])


if __name__ == "__main__":
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except UserError as error:
        sys.exit(f"reproduce.py: {error}")
    except ModuleNotFoundError as error:
        sys.exit(
            f"reproduce.py: the package {error.name} is not installed: call make setup, then use "
            ".venv/bin/python"
        )
    except OSError as error:
        # The output's disk is full, or its reader has ended. Python would report it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1 if isinstance(error, BrokenPipeError) else f"reproduce.py: {error}")
    except Interrupted as interrupted:  # Everything is written.
        sys.exit(128 + interrupted.number)
    except KeyboardInterrupt:
        print("reproduce.py: interrupted: nothing was written", file=sys.stderr)
        sys.exit(130)
