"""Processes that `torchrun` started together: who is who, meeting, and training one network on all of them."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta
from typing import TypeVar, cast

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from .shard import Shard

Network = TypeVar("Network", bound=nn.Module)

_LONGEST_WAIT = timedelta(days=30)  # for the slowest shard of an archive; a process that dies is noticed at once


def rank() -> int:
    """Number of this process, from 0, as ``torchrun`` gives it; 0 without it."""
    return int(os.environ.get("RANK", "0"))


def rank_count() -> int:
    """How many processes ``torchrun`` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def shard_of_this_process() -> Shard:
    """The part of the work that falls to this process; everything without ``torchrun``.

    Raises:
        ValueError: ``RANK`` is not below ``WORLD_SIZE``.
    """
    return Shard(rank(), rank_count())


def is_first_rank() -> bool:
    """Whether this is the process that writes what all have in common, and talks to the user."""
    return rank() == 0


def check_ranks(expected: int) -> None:
    """Refuse several processes that each believe to be the only one.

    Args:
        expected: how many processes the config is made for.

    Raises:
        ValueError: there are more.
    """
    if rank_count() != expected:
        raise ValueError(
            f"{rank_count()} processes were started, this fit is for {expected}; merge the bundle's "
            "multi_gpu_train.json after train.json, --config_file \"['.../train.json','.../multi_gpu_train.json']\"."
        )


def join_ranks() -> torch.device:
    """Connect this process with the others: NCCL where there are graphics cards, else Gloo.

    Returns:
        The device of this process: the graphics card of its number on this machine, or the CPU.
    """
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if rank_count() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
        atexit.register(dist.destroy_process_group)
    return device


def wait_for_ranks() -> None:
    """Return when all processes have come here; at once if there is only one.

    Raises:
        RuntimeError: another process has ended.
    """
    if rank_count() > 1:
        join_ranks()
        # A group of its own: the usual ones lose patience after minutes.
        dist.barrier(dist.new_group(backend="gloo", timeout=_LONGEST_WAIT))


def batch_per_rank(batch_size: int) -> int:
    """The part of a batch that each process computes.

    Raises:
        ValueError: the batch cannot be divided evenly.
    """
    if batch_size % rank_count():
        multiple = rank_count() * (batch_size // rank_count() + 1)
        raise ValueError(f"batch_size {batch_size} cannot be divided among {rank_count()} processes; use {multiple}.")
    return batch_size // rank_count()


def average_gradients(network: nn.Module, device: torch.device) -> nn.Module:
    """Wrap a network so that all processes average its gradients and stay alike; itself if there is one process.

    Batch normalization takes its statistics from the whole batch, as one process does, which PyTorch can only do on
    graphics cards.

    Args:
        network: its weights must be the same in all processes; it is moved to ``device``.
        device: see :func:`join_ranks`.

    Raises:
        ValueError: the network has batch normalization, and ``device`` is a CPU.
    """
    network.to(device)
    if rank_count() == 1:
        return network
    if any(isinstance(module, _BatchNorm) for module in network.modules()):
        if device.type != "cuda":
            raise ValueError(
                "Batch normalization over several processes needs graphics cards; use instance normalization "
                "(norm: 'instance'), or one process."
            )
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return DistributedDataParallel(
        network,
        device_ids=[device.index] if device.type == "cuda" else None,
    )


def unwrapped(network: Network) -> Network:
    """The network itself, whether :func:`average_gradients` wrapped it or not."""
    return cast(Network, network.module) if isinstance(network, DistributedDataParallel) else network
