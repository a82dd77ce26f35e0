"""Networks of the protector: central-difference convolution and UMed's generators."""

from .central_difference import CentralDifferenceConv
from .perturbator import Perturbator, UMedPerturbator

__all__ = ["CentralDifferenceConv", "Perturbator", "UMedPerturbator"]
