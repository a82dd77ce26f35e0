"""Slope, intercept and window of DICOM files: what stored values mean and how they are displayed."""

from collections.abc import Sequence

import numpy as np

from ..io.stored import CodecError
from .elements import DicomFile, dicom_errors, frame_values
from .pixels import bit_range


def displayed_scale(file: DicomFile) -> tuple[float, float]:
    """Return slope and intercept of displayed values, see `decode_dicom`; `CodecError` if they are not linear."""
    slope, intercept = _modality_scale(file)
    if file.dataset.PhotometricInterpretation == "MONOCHROME1":
        low, high = bit_range(file.dataset)
        return -slope, (low + high) * slope + intercept
    return slope, intercept


def display_window(files: Sequence[DicomFile], values: np.ndarray) -> tuple[float, float] | None:
    """Return the stored values that the files display as black and white, see `decode_dicom`.

    Args:
        files: files of one pixel layout.
        values: all their stored values.

    Returns:
        The window; None if it is missing, not linear or without a value inside, or if the files disagree.
    """
    dataset = files[0].dataset
    if dataset.BitsStored <= 8:
        low, high = map(float, bit_range(dataset))
    else:
        windows = {_linear_window(file) for file in files}
        window = windows.pop()
        if windows or window is None or not ((values > min(window)) & (values < max(window))).any():
            return None
        low, high = window
    return (high, low) if dataset.PhotometricInterpretation == "MONOCHROME1" else (low, high)


def _modality_scale(file: DicomFile) -> tuple[float, float]:
    with dicom_errors(file.name):
        if "ModalityLUTSequence" in file.dataset:
            raise CodecError(
                file.name, "its values are mapped by a table (Modality LUT)", "export it with a Rescale Slope"
            )
        pairs = []
        for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
            found = frame_values(file.dataset, "PixelValueTransformationSequence", keyword)
            values = set(map(float, found)) or {default}
            if len(values) > 1 or (default and values == {0.0}):
                cure = "convert it to float32 in a .nii.gz or .nrrd file"
                raise CodecError(file.name, f"{keyword} has the values {sorted(values)}", cure)
            pairs.append(values.pop())
        return pairs[0], pairs[1]


def _linear_window(file: DicomFile) -> tuple[float, float] | None:
    """Return the file's first window in stored units, low end first."""
    ends = []
    for keyword in ("WindowCenter", "WindowWidth"):
        values = {float(np.ravel(value)[0]) for value in frame_values(file.dataset, "FrameVOILUTSequence", keyword)}
        if len(values) != 1:
            return None
        ends.append(values.pop())
    center, width = ends
    functions = set(frame_values(file.dataset, "FrameVOILUTSequence", "VOILUTFunction")) or {"LINEAR"}
    # The standard's LINEAR counts levels, so that the distance of its two ends is the width minus one.
    shift = {"LINEAR": 0.5, "LINEAR_EXACT": 0.0}.get(functions.pop())
    if functions or shift is None or width <= 2 * shift or "VOILUTSequence" in file.dataset:
        return None
    slope, intercept = _modality_scale(file)
    half = width / 2 - shift
    low, high = sorted((value - shift - intercept) / slope for value in (center - half, center + half))
    return low, high
