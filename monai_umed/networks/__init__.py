"""UMed's generators and their central-difference convolution."""

from .central_difference import CentralDifferenceConv
from .generators import Perturbator, UMedPerturbator
from .joint import JointGenerators

__all__ = ["CentralDifferenceConv", "JointGenerators", "Perturbator", "UMedPerturbator"]
