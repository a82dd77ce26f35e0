"""The default device."""

from __future__ import annotations

import torch


def usual_device() -> torch.device:
    """Return the GPU if CUDA has one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
