"""Reproduces "Manual Back Prop with TensorFlow" (Jae Duk Seo, 2018).

flags → data → graph → session → results.
"""

import os
import sys

from experiment.errors import UserError


def main() -> None:
    """Runs one experiment, as the flags say."""
    import flags

    settings = flags.parse(sys.argv)

    # NumPy's own threads would decide how its sums are rounded. TensorFlow without oneDNN rounds
    # alike in every loop, and more as TensorFlow 1.5 did.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    # Imported this late because help and mistakes in a flag need none of it.
    from experiment import comparison, log, metrics, mnist, results, traces
    from experiment.progress import Progress

    images, labels = mnist.load(settings.data_dir)
    split = mnist.split(
        images,
        labels,
        digits=settings.digits,
        split_seed=settings.split_seed,
        test_images=settings.test_images,
        train_images=settings.train_images,
    )
    target = settings.results_dir / settings.name
    with results.replacing(target) as folder:
        if settings.mode == "numpy":
            from experiment.numpy_session import run
        else:
            if not flags.verbose():
                from experiment.quiet import import_tensorflow

                import_tensorflow()
            from experiment.session import run
        with Progress(settings.epochs) as progress:
            outcome = run(settings, split, progress)
        trace = traces.find(settings)
        measured = metrics.measure(settings, split, outcome, trace)
        timing = metrics.timing(settings, outcome)
        diff = comparison.diff_text(settings, measured, trace)
        results.write(folder, split, outcome, measured, timing, diff, trace)
    print(*log.prediction_lines(outcome.test, split.test.y), sep="\n")
    print(f"\n{diff}\nResults: {target}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"reproduce.py: {error}")
    except ModuleNotFoundError as error:
        sys.exit(
            f"reproduce.py: the package {error.name} is not installed: call make setup, then use "
            ".venv/bin/python"
        )
    except KeyboardInterrupt:
        print("reproduce.py: interrupted, nothing was written", file=sys.stderr)
        sys.exit(130)
