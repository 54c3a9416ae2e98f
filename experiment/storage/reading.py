"""What every reader of results does with a file that is damaged: it names it, in one line."""

import contextlib
import csv
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiment.settings import UserError

# What reading and using a file raises that is not what a program wrote.
DAMAGED = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, csv.Error,
)  # fmt: skip


@contextlib.contextmanager
def reading(path: Path, program: str) -> Iterator[None]:
    """Makes a UserError of what goes wrong while a file is read, and what it holds is used.

    Args:
        path: of the file.
        program: that writes it.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} is not there: {program} writes it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    except DAMAGED as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{path} is damaged ({reason}): {program} writes it anew") from None


def check(holds: bool, what: str) -> None:
    """Raises a ValueError that names what is wrong, unless it is right."""
    if not holds:
        raise ValueError(f"its {what} cannot be")


def number(value: Any) -> float:
    """The value, if it is a finite number; else it raises one of `DAMAGED`."""
    check(type(value) in (int, float) and math.isfinite(value), f"number {value!r}")
    found: float = value
    return found


def plain(text: str) -> str:
    """The text, if tables and pictures show it as it is; else it raises one of `DAMAGED`."""
    check(re.fullmatch(r"[\w ,/.+-]*", text, re.ASCII) is not None, f"text {text!r}")
    return text
