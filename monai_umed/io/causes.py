"""Find the original cause of an error."""

from __future__ import annotations


def first_cause(error: BaseException) -> BaseException:
    """Return the error that MONAI's configs wrapped into RuntimeErrors, one per level, or ``error`` itself."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
