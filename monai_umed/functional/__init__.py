"""Pure tensor functions for 2D and 3D images, channel first: contour band, local binary patterns, bounded addition."""

from .bounded_addition import EPS_LIMIT, add_bounded, check_eps
from .contour_band import contour_band, half_widths
from .local_binary_pattern import lbp_bound, lbp_code, texture_activity
from .resampling import resize

__all__ = [
    "EPS_LIMIT",
    "add_bounded",
    "check_eps",
    "contour_band",
    "half_widths",
    "lbp_bound",
    "lbp_code",
    "resize",
    "texture_activity",
]
