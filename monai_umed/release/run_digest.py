"""A checksum of everything besides the files of a case that decides which bytes protecting it gives."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from ..protectors import Bound, Protector
from ..protectors.raw_noise import RawNoise

# Packages whose releases may round, compress or encode differently.
_PACKAGES = (
    "torch",
    "monai",
    "numpy",
    "scipy",
    "scikit-image",
    "Pillow",
    "isal",
    "tifffile",
    "SimpleITK",
    "pydicom",
    "nibabel",
)


def run_digest(protector: Protector, **settings: Any) -> str:
    """Checksum of a protector's weights and settings, of this program's code and of the packages below it.

    Args:
        protector: what protects. An attribute that is neither a module, a tensor, a bound, plain (numbers, text) nor a
            list or dictionary of these gives another checksum every time, because nobody can tell whether it is the
            same.
        settings: plain values.

    Returns:
        64 hexadecimal digits; equal ones promise equal results.
    """
    digest = hashlib.sha256(_program().encode("ascii"))
    digest.update(f"{type(protector).__qualname__} {protector!r}".encode())
    for name, value in sorted({**vars(protector), **settings}.items()):
        digest.update(name.encode())
        _add(digest, value)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, torch.nn.Module):
        digest.update(repr(value).encode())
        for name, weights in value.state_dict().items():
            digest.update(name.encode())
            _add(digest, weights)
    elif isinstance(value, torch.Tensor):
        processor = (
            torch.cuda.get_device_name(value.device) if value.is_cuda else torch.backends.cpu.get_cpu_capability()
        )
        digest.update(f"{value.dtype} {tuple(value.shape)} {processor}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, Mapping):
        for name, item in sorted(value.items()):
            digest.update(json.dumps(name).encode("ascii"))
            _add(digest, item)
    elif isinstance(value, Bound):
        _add(digest, asdict(value))
    elif isinstance(value, RawNoise):
        pass  # it computes with generators that are an attribute of their own
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)}".encode("ascii"))
        for item in value:
            _add(digest, item)
    else:
        try:
            digest.update(json.dumps(value, sort_keys=True).encode("ascii"))
        except TypeError:
            digest.update(uuid4().bytes)


@lru_cache(maxsize=1)
def _program() -> str:
    """Read once: later edits of the sources do not change the code that runs."""
    digest = hashlib.sha256(platform.machine().encode())
    for path in sorted(Path(__file__).parent.parent.rglob("*.py")):
        digest.update(path.read_bytes())
    for name in _PACKAGES:
        try:
            digest.update(f"{name} {version(name)} ".encode())
        except PackageNotFoundError:  # a copy without metadata
            digest.update(uuid4().bytes)
    return digest.hexdigest()
