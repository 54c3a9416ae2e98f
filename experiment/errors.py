"""Errors that a user can fix."""

import contextlib
import sys
from collections.abc import Iterator


class UserError(Exception):
    """An error that the user can fix; its text, one line, says how."""

    def __str__(self) -> str:
        """The text as one line of printable characters, whatever it quotes."""
        return "".join(
            character if character.isprintable() else ascii(character)[1:-1]
            for character in super().__str__()
        )


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Ends the program with one line on stderr at a UserError or an OSError."""
    try:
        yield
    except (UserError, OSError) as error:
        sys.exit(str(error))
