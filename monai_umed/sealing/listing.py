"""Restore the ``dataset.json`` of the originals."""

from __future__ import annotations

from pathlib import Path

from ..data.case import CaseError
from ..data.dataset_json import DATASET_JSON, Kept, ListingError, keep_cases
from ..data.manifest import MANIFEST, Manifest
from ..io.atomic import write_atomically
from ..io.checksum import sha256_file
from ..io.joint_path import first_file
from ..io.listing import leaves
from .records import original_name


def restore_listing(protected_dir: Path, output_dir: Path) -> None:
    """Write the ``dataset.json`` of the originals, if the release has one.

    It contains nothing secret and is not sealed: it is that of the release, with the names of the original images.
    The result equals the dataset's own file bit by bit, unless cases were left out or JPEG was released as PNG.

    Args:
        protected_dir: the public folder with its manifest.
        output_dir: folder to write to, which must exist.

    Raises:
        CaseError: If the release's file is missing or differs from the manifest, or if the target exists with other
            content.
        OSError: If a file cannot be read or written.
    """
    manifest = Manifest.load(protected_dir / MANIFEST)
    if manifest.dataset_json_sha256 is None:
        return
    source, target = (folder / DATASET_JSON for folder in (protected_dir, output_dir))
    if link := next((path for path in (source, target) if leaves(path, path.parent)), None):
        raise CaseError(DATASET_JSON, f"{link} is a link that leaves its folder; replace it by what it points to")
    if not source.is_file() or sha256_file(source) != manifest.dataset_json_sha256:
        reason = f"it is missing or not the file that {MANIFEST} describes; fetch it again, or protect again"
        raise CaseError(DATASET_JSON, reason)
    names = {first_file(record.label): Kept(record.image, original_name(record)) for record in manifest.cases}
    try:
        content = keep_cases(source, names)
    except ListingError as error:
        raise CaseError(DATASET_JSON, str(error)) from error
    if target.exists() and target.read_bytes() != content:
        reason = f"{target} exists with other content; move it away or choose an empty folder"
        raise CaseError(DATASET_JSON, reason)
    write_atomically(target, content)
