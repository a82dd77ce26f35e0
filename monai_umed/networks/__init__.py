"""UMed's generators and their central-difference convolution."""

from .central_difference import CentralDifferenceConv
from .generators import Perturbator, UMedPerturbator

__all__ = ["CentralDifferenceConv", "Perturbator", "UMedPerturbator"]
