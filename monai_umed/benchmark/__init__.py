"""The benchmark: protectors next to each other on the same files, at equal eps and at equal PSNR."""

from .plan import Plan
from .run import run_benchmark
from .variants import UMED_VARIANTS, Variant, read_variant

__all__ = ["UMED_VARIANTS", "Plan", "Variant", "read_variant", "run_benchmark"]
