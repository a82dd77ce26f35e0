"""Where networks run unless somebody says so."""

from __future__ import annotations

import torch


def usual_device() -> torch.device:
    """The graphics card if there is one that CUDA can use, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
