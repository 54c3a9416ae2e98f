"""The one exception for what a user can mend."""


class UserError(Exception):
    """A mistake or a misfortune that the user can mend; its text, one line, says how."""
