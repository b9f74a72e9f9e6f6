"""The one error that users are meant to read."""

from __future__ import annotations


class BadInputError(ValueError):
    """Input that cannot be used, said in one sentence: which file, what was found, what to do.

    The command line prints it and exits with 2; the window shows it in the dock. It is never
    raised for a bug of ours.

    Parameters
    ----------
    message
        One sentence naming the file (and column or row) and what was found in it.
    remedy
        What to do about it; empty where the message already says so.
    code
        Short stable name for scripts and tests, e.g. ``"missing-column"``.
    """

    def __init__(self, message: str, *, remedy: str = "", code: str = "bad-input") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
        self.code = code
