"""Read labels: class numbers of every pixel, on the grid of their image."""

from pathlib import Path

import numpy as np

from ..dicom import lazy as lazy_dicom
from ..io.dicom_sign import is_dicom
from ..io.grids import on_image_grid
from ..io.image_files import files_of, holds_slice_masks
from ..io.joint_path import joint_files
from ..io.stored import CodecError, StoredImage
from .codec import decode
from .slice_masks import read_slice_masks

ROUNDING = 1e-3
"""Distance from a whole number up to which a label's value is taken for it: slopes in float32 give 1.00000002."""
_DICOM_FORMATS = ("dicom", "dicom_series")


def read_label(path: str | Path, image: StoredImage | None = None) -> np.ndarray:
    """Read a label map.

    Args:
        path: gray file of up to 16 bits, RGB file with equal channels, PNG or BMP file with a palette, NIfTI, NRRD or
            MetaImage file with whole numbers, DICOM SEG, folder of a DICOM series, of one DICOM SEG, or of one picture
            per slice, see `read_slice_masks`; or several of these, see `monai_umed.io.joint_path`, whose union it is.
        image: the image that the label belongs to. A DICOM SEG needs it for its grid; where both files tell their
            geometry, the label is brought into the image's order of axes, see `on_image_grid`. A DICOM image, whose
            files have no order of their own, takes a NIfTI label that tells none for one at nibabel's default place.

    Returns:
        Integer array ``(1, *spatial)`` with the file's values, of a palette the indices; 1-bit files give 0 and 1.
        Alpha is dropped. Values that miss a whole number by at most `ROUNDING` are that number.

    Raises:
        CodecError: unknown ending, damaged file, channels that differ, values that are no whole numbers, a label
            that is not on the image's grid, or several files that are not masks of one structure.
    """
    if joint_files(path := Path(path)):
        return _read_union(path, image)
    path = lazy_dicom.only_segmentation(path)
    on_dicom = image is not None and image.format in _DICOM_FORMATS
    if holds_slice_masks(path):
        return read_slice_masks(path, image, read=read_label)
    if is_dicom(path) and lazy_dicom.is_segmentation(path):
        if image is None or not on_dicom or (image.grid is None and len(image.shape) == 3):
            cure = "put it beside the image or series that it was drawn on, or save it as a label map (.nii.gz, .nrrd)"
            raise CodecError(path.name, "a DICOM SEG without a DICOM image that tells where it lies", cure)
        return lazy_dicom.decode_segmentation(path, image.grid, image.shape)
    decoded = decode(path, as_label=True)
    if decoded.format == "dicom_series" and image is not None and (decoded.grid is None) != (image.grid is None):
        reason = "one of image and label tells where its slices lie, the other does not, so their order is open"
        raise CodecError(path.name, reason, "save the label as one picture per slice (.png), named as the slice")
    values = decoded.array[:-1] if decoded.has_alpha else decoded.array
    if len(values) > 1 and decoded.format.startswith("nifti"):
        cure = "save one volume of class numbers for all channels of its image"
        raise CodecError(path.name, f"the mask has {len(values)} volumes along a fourth axis", cure)
    if len(values) > 1 and (values != values[:1]).any():
        raise CodecError(path.name, "the color channels of the mask differ", "save the class numbers as 8-bit gray")
    if decoded.has_alpha and np.ptp(values) == 0 < np.ptp(decoded.array[-1]):
        reason = "the mask has one color everywhere, what is drawn is its transparency alone"
        raise CodecError(path.name, reason, "save its alpha channel as 8-bit gray (Pillow: image.getchannel('A'))")
    values = values[:1]
    if image is not None:
        in_place = on_dicom and image.affine is not None and decoded.grid is None
        grid = decoded.affine if in_place else decoded.grid
        values = on_image_grid(path.name, values, grid, image)
    if values.dtype.kind != "f" and (decoded.slope, decoded.intercept) == (1.0, 0.0):
        return values
    real = values * decoded.slope + decoded.intercept
    whole = np.rint(real)
    # The range check comes first: NaN and values beyond int32 must not reach the cast.
    if not (np.abs(real) < 2**31).all() or not (np.abs(real - whole) <= ROUNDING).all():
        reason = f"the mask holds values that are no whole numbers, such as {_broken_value(real):g}"
        raise CodecError(path.name, reason, "round them and save it as an integer type, without a slope")
    return whole.astype(np.int32)


def _read_union(path: Path, image: StoredImage | None) -> np.ndarray:
    files = files_of(path)
    masks = [read_label(file, image) for file in files]
    values = sorted({int(value) for mask in masks for value in np.unique(mask) if value})
    if len(values) > 1 or len({mask.shape for mask in masks}) > 1:
        shapes = " and ".join(str(mask.shape[1:]) for mask in masks)
        reason = f"masks to be merged with {files[0].name} hold the values {values}, and have the shapes {shapes}"
        cure = "merged are masks of one size that hold 0 and one other value; merge these with a program of your own"
        raise CodecError(files[-1].name, reason, cure)
    return np.maximum.reduce(masks)


def _broken_value(real: np.ndarray) -> float:
    """The value that is furthest from any whole number, or is none."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        missing = np.nan_to_num(np.abs(real - np.rint(real)), nan=1.0)
    return float(real.flat[int(missing.argmax())])
