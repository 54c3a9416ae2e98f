"""One line for a results file that is missing or cannot be read."""

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

from experiment.errors import UserError

# What Python's readers of text, JSON and CSV raise, and what a missing column or field does.
READ_ERRORS = (LookupError, RecursionError, TypeError, ValueError, csv.Error)


@contextlib.contextmanager
def reading(path: Path, program: str) -> Iterator[None]:
    """Raises a UserError if the file is missing or damaged.

    Args:
        path: the file that the body reads.
        program: the command that writes it.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {program} writes it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    except READ_ERRORS as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{path} is damaged ({reason}): {program} writes it anew") from None
