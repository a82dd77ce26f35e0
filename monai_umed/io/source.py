"""The input of decoders: a file on the disk, or one in memory that must never be written to a disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .stored import CodecError


class Source(Protocol):
    """A file, such as a `pathlib.Path`."""

    @property
    def name(self) -> str:
        """Name of the file, without folders."""

    def read_bytes(self) -> bytes:
        """Return the whole file."""


@dataclass(frozen=True)
class MemoryFile:
    """A file in memory.

    Attributes:
        name: name of the file, without folders.
        content: the whole file.
    """

    name: str
    content: bytes = field(repr=False)

    def read_bytes(self) -> bytes:
        """Return the whole file."""
        return self.content


@contextmanager
def named(source: Source) -> Iterator[str]:
    """Yield a path, valid within the ``with`` block, for libraries that only read named files.

    A file in memory gets the path of an anonymous file, which the operating system keeps in memory and in no folder.

    Raises:
        CodecError: If the file is in memory and the system, not Linux, has no anonymous files.
    """
    if isinstance(source, Path):
        yield str(source)
    elif not hasattr(os, "memfd_create"):
        cure = "use Linux, or restore it into a folder"
        raise CodecError(source.name, "its decoder reads named files, which this system cannot keep in memory", cure)
    else:
        with open(os.memfd_create("monai_umed"), "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(source.read_bytes())
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
