"""The perturbation bound: what it may be. Without torch, since commands refuse a wrong one before they load it."""

from __future__ import annotations

EPS_LIMIT = 32 / 255


def check_eps(eps: float) -> float:
    """Return ``eps``, a fraction of the [0, 1] intensity window, if it is a valid perturbation bound.

    Raises:
        ValueError: If ``eps`` is not in (0, 32/255].
    """
    if not 0 < eps <= EPS_LIMIT:
        raise ValueError(
            f"eps is {eps}; it must be above 0 and at most 32/255 = {EPS_LIMIT:.4f}. It is a fraction of the [0, 1] "
            "intensity window: write 4/255 = 0.0157 for four of 255 gray levels."
        )
    return float(eps)
