"""What an error goes back to."""

from __future__ import annotations


def first_cause(error: BaseException) -> BaseException:
    """The error that MONAI's configs have wrapped into RuntimeErrors, one per level; others come back as they are."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
