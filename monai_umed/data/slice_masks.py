"""Masks of a series as one picture per slice: each belongs to the slice of its name, so no geometry is needed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..io.listing import visible
from ..io.stored import CodecError, StoredImage
from ..io.suffixes import split_name

_ONE_MAP = "or save all masks as one label map on the grid of the series (.nii.gz, .nrrd)"


def read_slice_masks(folder: Path, image: StoredImage | None, *, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    """Stack masks in the order of the slices whose names they have.

    Args:
        folder: folder of one picture per slice, named as the slice, with or without the ending of the slice.
        image: the series.
        read: reads the mask ``(1, rows, columns)`` of one file.

    Returns:
        Integer array ``(1, i, j, k)`` in the order of the series' array.

    Raises:
        CodecError: an image that is no series of DICOM files, a slice without a mask of its name or with two, a mask
            without a slice, or one of another size than its slice.
    """
    if image is None or image.format != "dicom_series":
        reason = "a folder of masks, and an image that is no series of slices"
        raise CodecError(folder.name, reason, f"give its masks to a folder of DICOM slices, {_ONE_MAP}")
    columns, rows = image.shape[:2]
    planes = []
    for path in _in_order(folder, [name for name, _ in image.header.files]):
        mask = read(path)
        if mask.shape != (1, rows, columns):
            reason = f"a mask of {mask.shape[1:]} rows and columns, its slice has {(rows, columns)}"
            raise CodecError(f"{folder.name}/{path.name}", reason, "draw it on its slice, at its size")
        planes.append(mask[0].T)
    return np.stack(planes, axis=-1)[None]


def _in_order(folder: Path, slices: Sequence[str]) -> list[Path]:
    """The mask of each slice."""
    masks = visible(folder)
    left = set(masks)
    found = []
    for name in slices:
        # Names of UIDs, as 1.2.840.113, have no ending; for others the ending may be there or not.
        for wanted in (name, split_name(name)[0]):
            candidates = [path for path in masks if split_name(path.name)[0] == wanted]
            if candidates:
                break
        if len(candidates) != 1 or candidates[0] not in left:
            problem = "more than one mask" if candidates else "no mask"
            cure = f"name one mask after every slice ({split_name(name)[0]}.png), an empty one where nothing is drawn"
            raise CodecError(folder.name, f"{problem} of the name of the slice {name}", f"{cure}, {_ONE_MAP}")
        left.remove(candidates[0])
        found.append(candidates[0])
    if left:
        name = min(path.name for path in left)
        raise CodecError(f"{folder.name}/{name}", "a mask without a slice of its name", f"move it away, {_ONE_MAP}")
    return found
