"""Tell faults of the machine (full disk, missing rights, too little memory) from damaged data, with what to do."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import torch

from ..data.case import CaseError

_NO_MEMORY = (MemoryError, torch.cuda.OutOfMemoryError)
FAULTS = (OSError, *_NO_MEMORY)
"""What the machine raises; an OSError may also come from a library that reads a damaged file, see `find_fault`."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+|\(0x[0-9a-f]+\)")
_CURES = {
    "EACCES": "make it readable, and the output folder writable",
    "EDQUOT": "free space within the quota",
    "EFBIG": "lift the limit on the size of files, or choose another disk",
    "EIO": "check the disk",
    "EMFILE": "close other programs, or raise the limit on open files",
    "ENFILE": "close other programs, or raise the limit on open files",
    "ENOENT": "check that it is still there",
    "ENOMEM": "close other programs, or take a machine with more memory",
    "ENOSPC": "free space on the disk",
    "EPERM": "make it readable, and the output folder writable",
    "EROFS": "choose an output folder that can be written",
    "ESTALE": "check the network drive",
    "ETIMEDOUT": "check the network drive",
}


def find_fault(error: BaseException | None) -> BaseException | None:
    """The machine's fault that an error goes back to, however many errors were raised from it.

    Libraries raise OSError for damaged files, too, mostly without a number: only numbers count that no content can
    cause. Lack of memory only counts if nobody made another error of it, as decoders do whose file claims to be huge.
    """
    if isinstance(error, _NO_MEMORY):
        return error
    while error is not None:
        if isinstance(error, OSError) and _name(error) in _CURES:
            return error
        error = error.__cause__
    return None


def explain(error: BaseException, *folders: Path) -> str:
    """Reason and cure, without temporary names, addresses in memory and ``folders``: equal errors read the same."""
    found = find_fault(error) or error
    if isinstance(found, _NO_MEMORY):
        return "not enough memory; lower the number of workers, or take a machine with more memory, and run again"
    if not isinstance(found, OSError):
        reason = _ADDRESS.sub("", found.reason if isinstance(found, CaseError) else str(found))
        for folder in folders:
            reason = reason.replace(f"{folder}{os.sep}", "")
        return reason
    name = Path(found.filename).name if isinstance(found.filename, str | os.PathLike) else ""
    where = f"{name}: " if name and not name.startswith(".") else ""
    return f"{where}{found.strerror or found}; {_CURES.get(_name(found), 'repair it')}, and run again"


def _name(fault: OSError) -> str:
    return errno.errorcode.get(fault.errno or 0, "")
