"""Projected signed-gradient descent on images, for noise that helps a network and for noise that hurts it."""

from __future__ import annotations

from collections.abc import Callable

import torch


def minimize(
    objective: Callable[[torch.Tensor], torch.Tensor],
    image: torch.Tensor,
    bound: torch.Tensor | float,
    *,
    steps: int,
    step_size: float,
    start: torch.Tensor,
) -> torch.Tensor:
    """Descend a loss near every image by signed gradients (Madry et al. 2018, Sec. 2.1, with the opposite sign).

    No gradient reaches the parameters of a network inside of ``objective``. To climb a loss, pass its negative.

    Args:
        image: ``(B, C, *spatial)`` in [0, 1].
        objective: differentiable loss of perturbed images, a scalar or one number per case. Cases must not influence
            each other's loss but by a positive factor.
        bound: largest change of every pixel in the units of the image, broadcastable to it.
        steps: gradients per image.
        step_size: length of a step in the units of the image.
        start: noise to begin with, broadcastable to the image; what exceeds the bound is clipped.

    Returns:
        The perturbed images in [0, 1], without history.
    """
    image = image.detach()
    low, high = (image - bound).clamp(0, 1), (image + bound).clamp(0, 1)
    perturbed = (image + start).clamp(low, high)
    for _ in range(steps):
        perturbed.requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(objective(perturbed).sum(), perturbed)
        perturbed = (perturbed.detach() - step_size * gradient.sign()).clamp(low, high)
    return perturbed
