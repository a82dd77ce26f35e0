"""Decoded cases in files that the processes of a run map into memory, so that each is decoded and held once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

_folder: Path | None = None
"""Where this process and the others of its run have their files; None for memory of its own."""


def share_items(folder: Path) -> None:
    """Let this process take decoded cases from a folder, and leave there what it decodes."""
    global _folder
    _folder = folder


def decoded_once(key: str, decode: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What ``decode`` returns, from the process of this run that called it first; the others wait for that one.

    Tensors lie in a file that is mapped into memory: all processes share its pages, and a process that writes into a
    tensor has a copy of that page alone. Without a folder, or where its disk is full, they are this process's own.

    Args:
        key: names everything that the cases depend on.
        decode: reads them: dictionaries of texts and tensors.
    """
    if _folder is None:
        return decode()
    path = _folder / f"{hashlib.sha256(key.encode()).hexdigest()}.pt"
    with FileLock(path.with_suffix(".lock")):  # the lock of a process that is killed is free
        if not path.is_file():
            items = decode()
            unfinished = path.with_suffix(f".{os.getpid()}")
            try:
                torch.save(items, unfinished)
                unfinished.replace(path)
            except (OSError, RuntimeError):  # PyTorch's own error for a full disk
                unfinished.unlink(missing_ok=True)
                return items
    mapped: list[dict[str, Any]] = torch.load(path, mmap=True, weights_only=True)
    return mapped
