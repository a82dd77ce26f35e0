"""Protectors: methods that turn an image and its label into a bounded perturbation."""

from typing import Any

from ..functional.resampling import resize
from .base import Needs, Protector
from .bounded import BoundedProtector
from .bounds import Bound, parse_bound
from .perturbation import NothingChangedWarning, Perturbation
from .registry import PROTECTORS, method_name, protector_class
from .umed import UMed, bound_noise

_METHODS = {target.split(".")[1]: name for name, target in PROTECTORS.items()}


def __getattr__(name: str) -> Any:
    """Import the class of a method on first use, so that ``_target_`` in configs can name it here."""
    if name in _METHODS:
        return protector_class(_METHODS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "PROTECTORS",
    "Bound",
    "BoundedProtector",
    "Needs",
    "NothingChangedWarning",
    "Perturbation",
    "Protector",
    "UMed",
    "bound_noise",
    "method_name",
    "parse_bound",
    "protector_class",
    "resize",
]
