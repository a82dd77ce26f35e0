"""From what UMed's generators put out to noise that each region of the image may carry."""

from __future__ import annotations

import torch


def bound_noise(raw: torch.Tensor, bounds: torch.Tensor, eps: float, output: str = "tanh") -> torch.Tensor:
    """Bring raw contour and texture noise under the bounds of their regions (UMed, Eq. 4 and 5).

    Where there is a third region, the background, the contour noise is continued there with the opposite sign.

    ``"tanh"`` gives ``bound * tanh(raw)``: the same limit as the paper's clip, with gradients that live. ``"clip"``
    gives ``eps * raw`` within each region, which :func:`monai_umed.functional.add_bounded` then clips: Eq. 4 and 5 to
    the letter but for the factor eps, without which the generators would start far outside their bounds and only the
    sign of their output would count.

    Args:
        raw: ``(B, 2 * C, *spatial)``, contour noise then texture noise, as :class:`UMedPerturbator` gives it.
        bounds: ``(B, 2 or 3, *spatial)``, contour bound, texture bound and perhaps that of the background, in [0, 1]
            units; nowhere does more than one of them differ from 0.
        eps: unit of clipped noise.
        output: ``"tanh"`` or ``"clip"``.

    Returns:
        ``(B, C, *spatial)`` in [0, 1] units.
    """
    contour, texture = raw.chunk(2, dim=1)
    if output == "tanh":
        contour, texture = contour.tanh(), texture.tanh()
        on_contour, on_texture, *on_background = bounds.split(1, dim=1)
    else:
        on_contour, on_texture, *on_background = (eps * (bounds > 0)).split(1, dim=1)
    noise = contour * on_contour + texture * on_texture
    return noise - contour * on_background[0] if on_background else noise
