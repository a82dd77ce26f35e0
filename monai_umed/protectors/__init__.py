"""Protectors: methods that turn an image and its label into a bounded perturbation."""

from .base import Perturbation, Protector
from .umed import UMed, bound_noise, resize

__all__ = ["Perturbation", "Protector", "UMed", "bound_noise", "resize"]
