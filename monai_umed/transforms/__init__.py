"""MONAI transforms, in array and dictionary forms."""

from .array import ApplyPerturbation, ContourBand, LBPBound, UMedProtect
from .dictionary import (
    ApplyPerturbationD,
    ApplyPerturbationd,
    ApplyPerturbationDict,
    ContourBandD,
    ContourBandd,
    ContourBandDict,
    LBPBoundD,
    LBPBoundd,
    LBPBoundDict,
    UMedProtectD,
    UMedProtectd,
    UMedProtectDict,
)
from .restore import UMedRestore, UMedRestoreD, UMedRestored, UMedRestoreDict

__all__ = [
    "ApplyPerturbation",
    "ApplyPerturbationD",
    "ApplyPerturbationDict",
    "ApplyPerturbationd",
    "ContourBand",
    "ContourBandD",
    "ContourBandDict",
    "ContourBandd",
    "LBPBound",
    "LBPBoundD",
    "LBPBoundDict",
    "LBPBoundd",
    "UMedProtect",
    "UMedProtectD",
    "UMedProtectDict",
    "UMedProtectd",
    "UMedRestore",
    "UMedRestoreD",
    "UMedRestoreDict",
    "UMedRestored",
]
