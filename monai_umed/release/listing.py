"""The ``dataset.json`` that a release carries: that of the dataset, without the cases that were left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..data.case import Case, DatasetError
from ..data.dataset_json import DATASET_JSON, Kept, ListingError, keep_cases, read_listing
from ..data.manifest import MANIFEST, CaseRecord, Manifest
from ..io.atomic import remove, write_atomically
from ..io.checksum import sha256_file
from ..io.joint_path import first_file
from ..sealing.records import original_name


def find_listing(cases: Iterable[Case]) -> Path | None:
    """The ``dataset.json`` of the dataset that cases are from, if it has one."""
    return next((case.listing for case in cases if case.listing is not None), None)


def check_listing(cases: Iterable[Case]) -> None:
    """Refuse a ``dataset.json`` that could not be carried, before anything is written.

    Raises:
        DatasetError: If it cannot be read, or is no JSON object.
    """
    listing = find_listing(cases)
    if listing is None:
        return
    try:
        read_listing(listing)
    except ListingError as error:
        raise DatasetError(str(listing.parent), [f"{error}, or move it away"]) from error


def write_listing(cases: Sequence[Case], records: Sequence[CaseRecord], output_dir: Path) -> str | None:
    """Write the ``dataset.json`` of a release, if the dataset has one.

    Args:
        cases: the originals.
        records: those that were protected.
        output_dir: the protected folder, which must exist.

    Returns:
        The checksum of what was written; None if there is nothing to write.

    Raises:
        ListingError: If the original cannot be used, see `check_listing`.
        OSError: If the file cannot be written.
    """
    listing = find_listing(cases)
    if listing is None:
        return None
    target = output_dir / DATASET_JSON
    write_atomically(target, released_listing(listing, records))
    return sha256_file(target)


def released_listing(listing: Path, records: Iterable[CaseRecord]) -> bytes:
    """What a release of some of a dataset's cases carries in the place of its ``dataset.json``.

    Raises:
        ListingError: If the original cannot be used, see `check_listing`.
    """
    return keep_cases(
        listing, {first_file(record.label): Kept(original_name(record), record.image) for record in records}
    )


def clear_listing(cases: Iterable[Case], output_dir: Path) -> None:
    """Remove the ``dataset.json`` of an earlier run of the same cases."""
    if find_listing(cases) is not None:
        remove(output_dir / DATASET_JSON)


def listing_problems(folder: Path, manifest: Manifest, originals: Mapping[str, Case] | None) -> Iterator[str]:
    """What is wrong with the ``dataset.json`` of a release.

    Args:
        folder: the protected folder.
        manifest: its manifest.
        originals: the dataset that was protected, by id; None if it is not at hand.
    """
    path, expected = folder / DATASET_JSON, manifest.dataset_json_sha256
    if expected is None:
        return
    if not path.is_file():
        yield f"{DATASET_JSON} is missing"
    elif sha256_file(path) != expected:
        yield f"{DATASET_JSON} is not the file that {MANIFEST} describes"
    elif (listing := find_listing((originals or {}).values())) is not None and released_listing(
        listing, manifest.cases
    ) != path.read_bytes():
        yield f"{DATASET_JSON} is not that of {listing.parent} without the cases that were left out"
