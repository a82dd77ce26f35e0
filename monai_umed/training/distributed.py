"""Processes that ``torchrun`` starts together: their ranks, waiting for each other, and training one network."""

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
    """Return the number of this process, from 0, as ``torchrun`` sets it; 0 without ``torchrun``."""
    return int(os.environ.get("RANK", "0"))


def rank_count() -> int:
    """Return how many processes ``torchrun`` started; 1 without ``torchrun``."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def shard_of_this_process() -> Shard:
    """Return the part of the work that this process does; all of it without ``torchrun``.

    Raises:
        ValueError: If ``RANK`` is not below ``WORLD_SIZE``.
    """
    return Shard(rank(), rank_count())


def is_first_rank() -> bool:
    """Return whether this is the process that writes shared files and reports to the user."""
    return rank() == 0


def check_ranks(expected: int) -> None:
    """Refuse a number of processes that the config is not made for: each would believe to be the only one.

    Raises:
        ValueError: If the number of processes is not ``expected``.
    """
    if rank_count() != expected:
        raise ValueError(
            f"{rank_count()} processes were started, this fit is for {expected}; merge the bundle's "
            "multi_gpu_train.json after train.json, --config_file \"['.../train.json','.../multi_gpu_train.json']\"."
        )


def join_ranks() -> torch.device:
    """Connect this process with the others, by NCCL if there are GPUs, else by Gloo.

    Returns:
        The device of this process: the GPU of its local rank, or the CPU.
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
    """Wait until all processes have called this; return at once if there is only one.

    Raises:
        RuntimeError: If another process has ended.
    """
    if rank_count() > 1:
        join_ranks()
        # A group of its own, because the default one times out after minutes.
        dist.barrier(dist.new_group(backend="gloo", timeout=_LONGEST_WAIT))


def batch_per_rank(batch_size: int) -> int:
    """Return the number of cases of a batch that each process computes.

    Raises:
        ValueError: If the batch cannot be divided evenly.
    """
    if batch_size % rank_count():
        multiple = rank_count() * (batch_size // rank_count() + 1)
        raise ValueError(f"batch_size {batch_size} cannot be divided among {rank_count()} processes; use {multiple}.")
    return batch_size // rank_count()


def average_gradients(network: nn.Module, device: torch.device) -> nn.Module:
    """Wrap a network so that all processes average its gradients; return it as it is if there is one process.

    Batch normalization takes its statistics from the whole batch, as in one process; PyTorch can do so on GPUs only.

    Args:
        network: its weights must be equal in all processes; it is moved to ``device``.
        device: see :func:`join_ranks`.

    Raises:
        ValueError: If the network has batch normalization and there are several processes on CPUs.
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
    """Return the network itself, whether :func:`average_gradients` has wrapped it or not."""
    return cast(Network, network.module) if isinstance(network, DistributedDataParallel) else network
