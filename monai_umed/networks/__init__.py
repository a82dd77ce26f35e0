"""Networks: UMed's generators with their central-difference convolution, and those that exploiters train."""

from .architectures import ARCHITECTURES
from .central_difference import CentralDifferenceConv
from .ensemble import InTurn
from .exploiters import build_exploiter, exploiter_names
from .perturbator import Perturbator, UMedPerturbator
from .transunet import TransUNet

__all__ = [
    "ARCHITECTURES",
    "CentralDifferenceConv",
    "InTurn",
    "Perturbator",
    "TransUNet",
    "UMedPerturbator",
    "build_exploiter",
    "exploiter_names",
]
