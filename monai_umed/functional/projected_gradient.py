"""Projected signed-gradient descent on images, for noise that lowers a network's loss or, negated, raises it."""

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
    """Minimize a loss near every image by signed gradients (Madry et al. 2018, Sec. 2.1, with the opposite sign).

    To maximize a loss, pass its negative. Parameters of a network inside ``objective`` get no gradient.

    Args:
        objective: differentiable loss of perturbed images, a scalar or one number per case. A case may change the
            loss of another one by a positive factor only.
        image: ``(B, C, *spatial)`` in [0, 1].
        bound: largest change of every pixel, in the units of the image and broadcastable to it.
        steps: number of gradient steps.
        step_size: length of a step in the units of the image.
        start: initial noise, broadcastable to the image and clipped to the bound.

    Returns:
        The perturbed images in [0, 1], detached from the graph.
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
