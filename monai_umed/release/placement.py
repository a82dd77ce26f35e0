"""Whether pixels changed where the structure lies in the patient: found without the code that matched the label."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..data.case import Case
from ..data.codec import decode
from ..data.labels import read_label
from ..data.manifest import Manifest
from ..dicom import lazy as lazy_dicom
from ..functional.contour_band import contour_band
from ..io.dicom_sign import is_dicom
from ..io.image_files import holds_slice_masks
from ..io.joint_path import joint_files
from ..io.quantize import slabs, stored_limit
from ..io.stored import Decoded, StoredImage
from ..protectors.bounds import band_widths


@dataclass(frozen=True)
class Reach:
    """How far from the foreground a protector changes pixels.

    Attributes:
        widths: half-width of a box around each pixel of the foreground, in pixels along each axis.
        fraction: share of eps by which all other pixels may change.
    """

    widths: tuple[int, ...]
    fraction: float = 0.0


def reach_of(protector: str, shape: Sequence[int], spacing: Sequence[float] | None) -> Reach | None:
    """What the record of a protector says about pixels outside of the foreground.

    Args:
        protector: its ``repr``, from the manifest.
        shape: spatial shape of the image.
        spacing: size of a pixel along each axis, if the file tells.

    Returns:
        The reach, or None if every pixel may change by all of eps or the record cannot be read.
    """
    try:
        settings = _settings(protector)
        if "perturbator" in settings:
            band, fraction = settings, settings.get("background_share", 0.0)  # of version 0.1
            has_band = settings["contour_share"] > 0
            grid = settings["working_size"]
        else:
            bound = settings["bound"]
            band, fraction = {"text": bound} if isinstance(bound, str) else bound, 0.0
            factors = {name.strip() for name in band["text"].split("*")}
            if not factors & {"roi", "band"}:
                return None
            has_band = "roi" not in factors
            grid = settings["size"]
        if not has_band or band.get("band_side", "both") == "inner":
            return Reach((0,) * len(shape), fraction)
        axis = settings["slice_axis"] if len(shape) == 3 else None
        kept = [other for other in range(len(shape)) if other != axis]  # slices are images of their own
        sides, sizes = [shape[other] for other in kept], spacing and [spacing[other] for other in kept]
        radius, unit = band.get("band_radius", 2), band.get("band_unit", "pixel")
        widths = list(
            band_widths(radius, unit, sides, working_size=None if settings["native"] else grid, spacing=sizes)
        )
    except (ValueError, SyntaxError, KeyError, TypeError, AttributeError):
        return None
    if axis is not None:
        widths.insert(axis, 0)
    return Reach(tuple(widths), fraction)


def _settings(protector: str) -> dict:
    """Keyword arguments of a protector's ``repr``; ``perturbator`` is there for UMed, whose generators come first."""
    call = ast.parse(protector, mode="eval").body
    if not isinstance(call, ast.Call):
        raise ValueError(f"{protector!r} is no call")
    settings = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
    return {**settings, "perturbator": True} if call.args else settings


def foreground_in_space(
    label: Decoded, image: StoredImage, *, ignore_label: int | None = None
) -> tuple[np.ndarray, int]:
    """Where the voxels of a label lie on its image, one by one through both files' affines.

    Args:
        label: with a ``grid``, in its own order of axes.
        image: with a ``grid``.
        ignore_label: value of the label that is no class.

    Returns:
        Boolean ``(*spatial)`` of the image, and how many voxels of the foreground lie outside of it.
    """
    assert image.grid is not None and label.grid is not None  # callers ask before
    to_image = np.linalg.inv(image.grid) @ label.grid
    ndim = len(to_image) - 1
    shape = (*image.shape, 1)[:ndim]
    found, outside = np.zeros(shape, bool), 0
    for first, stored in enumerate(label.array[0]):
        plane = np.rint(stored * label.slope + label.intercept)  # as whoever reads the label
        plane[plane == ignore_label] = 0
        voxels = np.zeros((np.count_nonzero(plane), ndim + 1))
        voxels[:, 0], voxels[:, ndim] = first, 1
        voxels[:, 1 : 1 + plane.ndim] = np.argwhere(plane)
        places = np.rint(voxels @ to_image.T)[:, :ndim].astype(np.int64)
        inside = ((places >= 0) & (places < shape)).all(axis=1)
        outside += int(np.count_nonzero(~inside))
        found[tuple(places[inside].T)] = True
    return found.reshape(image.shape), outside


def _label_in_space(path: Path, image: StoredImage) -> Decoded:
    """A label as its file has it; one whose slices are placed one by one, by position or name, on the image's grid."""
    path = lazy_dicom.only_segmentation(path)
    if holds_slice_masks(path) or (is_dicom(path) and lazy_dicom.is_segmentation(path)):
        return Decoded(read_label(path, image), "dicom", grid=image.grid)
    return decode(path, as_label=True)


def placement_problems(before: StoredImage, after: StoredImage, original: Case, manifest: Manifest) -> Iterator[str]:
    """Compare what changed with where the label lies in the patient; files that do not tell are left alone.

    Args:
        before: the original image.
        after: the protected one, of equal shape and type, in the manifest's window.
        original: files of the original.
        manifest: names protector and eps.

    Yields:
        What is wrong, and the cure.

    Raises:
        CodecError: If the label cannot be read, or is on another grid than the image.
    """
    if before.grid is None:
        return
    files = [*(joint_files(original.label) or {"": original.label}).values()]
    labels = [_label_in_space(file, before) for file in files]
    if any(label.grid is None or label.grid.shape != before.grid.shape for label in labels):
        return
    used = ~np.isin(read_label(original.label, before)[0], (0, manifest.ignore_label or 0))
    parts = [foreground_in_space(label, before, ignore_label=manifest.ignore_label) for label in labels]
    found, outside = np.logical_or.reduce([part for part, _ in parts]), sum(count for _, count in parts)
    if outside or not np.array_equal(found, used):
        count = outside or int(np.count_nonzero(found != used))
        yield f"{count} voxels of its mask lie elsewhere in space than on the image; resample the mask, protect again"
        return
    reach = reach_of(manifest.protector, before.shape, before.spacing)
    if reach is None:
        return
    near = contour_band(torch.from_numpy(found), reach.widths, "outer").numpy() | found
    images = list(zip(before.in_window(after.intensity_window).each(), after.each(), strict=True))
    for number, (old, new) in enumerate(images):
        limit = float(stored_limit(np.array([manifest.eps * reach.fraction], np.float32), new)[0]) * (1 + 1e-6)
        stray, largest = _stray(old, new, near, limit)
        if not stray:
            continue
        channel = f"channel {number}: " if len(images) > 1 else ""
        yield (
            f"{channel}{stray} values changed by up to {largest:g} stored units beside the structure as its mask lies "
            f"in space, permitted are {limit:g} more than {reach.widths} voxels away; protect again, from the originals"
        )


def _stray(before: StoredImage, after: StoredImage, near: np.ndarray, limit: float) -> tuple[int, float]:
    """Count the values that changed by more than a limit outside of ``near``, and find the largest change there."""
    stray, largest = 0, 0.0
    for rows in slabs(before.array.shape):
        change = np.abs(after.color[:, rows].astype(np.float64) - before.color[:, rows])[:, ~near[rows]]
        stray += int(np.count_nonzero(change > limit))
        largest = max(largest, float(change.max(initial=0)))
    return stray, largest
