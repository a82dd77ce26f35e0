"""Protectors: methods that turn an image and its label into a bounded perturbation."""

from .base import Needs, Perturbation, Protector
from .bounded import BoundedProtector
from .bounds import Bound, parse_bound
from .checks import NothingChangedWarning
from .registry import PROTECTORS, method_name, protector_class
from .umed import UMed, bound_noise, resize

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
