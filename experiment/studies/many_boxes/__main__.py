"""`python -m experiment.studies.many_boxes`: does the missing runs, then writes the summary.

Both are in results/many-boxes. A run that has ended is a line of runs.jsonl, and is not repeated.
"""

import contextlib
import sys
from pathlib import Path

from tqdm import tqdm

from experiment.errors import exit_on_user_error
from experiment.settings import RESULTS, Settings
from experiment.storage.folder import cannot_write, locked, make
from experiment.storage.interruption import Interrupted, Signals
from experiment.studies import store
from experiment.studies.cluster import on_workers
from experiment.studies.many_boxes import plan
from experiment.training import mnist
from experiment.training.many_boxes import train
from experiment.training.startup import fix_rounding, import_tensorflow, silence_matplotlib

FOLDER = RESULTS / "many-boxes"


def run(folder: Path) -> plan.Measured:
    """Does the missing runs of the study.

    Returns:
        The measurements of all runs, in the order of the plan.

    Raises:
        UserError: a run fails, the data are missing, or a file cannot be written.
    """
    data = mnist.load(Settings.data_dir)
    with locked(folder):
        try:
            make(folder)
            measured = plan.read(folder)
            store.write(folder, measured.values())  # Drops a line that was cut off.
            with (
                (folder / store.FILE).open("a") as file,
                tqdm(
                    total=plan.total(), initial=len(measured), unit="run", desc="many boxes"
                ) as bar,
            ):
                for jobs in plan.phases(measured):
                    todo = [job for job in jobs if job.settings not in measured]
                    with contextlib.closing(on_workers(todo, data, work=train)) as ended:
                        for job, run in ended:
                            measured[job.settings] = run
                            store.append(file, run)
                            bar.update()
            planned = [job.settings for jobs in plan.phases(measured) for job in jobs]
            measured = {settings: measured[settings] for settings in planned}
            store.write(folder, measured.values())
            return measured
        except OSError as error:
            raise cannot_write(folder, error) from None


def main() -> None:
    """Does the study."""
    fix_rounding()
    silence_matplotlib()
    Signals()
    try:
        measured = run(FOLDER)
        import_tensorflow()
        from experiment.studies.many_boxes import summary

        summary.write(measured, FOLDER)
    except Interrupted as interrupted:
        print(f"interrupted: completed runs are kept in {FOLDER}", file=sys.stderr)
        sys.exit(128 + interrupted.number)


if __name__ == "__main__":
    with exit_on_user_error():
        main()
