"""UMed's generators and their central-difference convolution."""

from .central_difference import CentralDifferenceConv
from .ensemble import InTurn
from .generators import Perturbator, UMedPerturbator

__all__ = ["CentralDifferenceConv", "InTurn", "Perturbator", "UMedPerturbator"]
