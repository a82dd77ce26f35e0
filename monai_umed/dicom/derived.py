"""The elements that make a DICOM file a derived image.

A written file differs from its source in these elements, also if the perturbation is zero:

* Pixel Data: the perturbed values, always uncompressed: lossy compression would erase the perturbation, and lossless
  compression needs further packages. For compressed color, Photometric Interpretation and Planar Configuration change
  accordingly. Padding bytes after the last pixel are dropped.
* Transfer Syntax UID: Explicit VR Little Endian, which every reader supports; (retired) group lengths are dropped.
* SOP Instance UID, Media Storage SOP Instance UID: the standard requires new ones for other pixels. They are computed
  from the old one and the pixels, so that equal pixels give equal files.
* Series Instance UID: a series must not mix originals and derived images. The new one is computed from the old one,
  for a series folder also from all its pixels; single files of one series still share one afterwards.
* Image Type and Frame Type: the first value becomes ``DERIVED``. Derivation Description: a sentence is appended.
* Smallest and Largest Image Pixel Value, if present: those of the new pixels. Those of the series are widened.

Study and Frame of Reference UID stay, and so do Lossy Image Compression and its ratio. Private elements stay, too: if a
vendor keeps a second copy of the image there (or a thumbnail in Icon Image Sequence), that copy is not protected.
References from other files, such as a DICOM SEG, still name the old UIDs.
"""

from collections.abc import Sequence
from typing import Any

from pydicom import uid

DERIVATION = "Protected by monai_umed: bounded perturbation of the stored values"
_MAX_DERIVATION = 1024  # largest number of characters in the element


def mark_derived(dataset: Any, digest: str, series_entropy: Sequence[str]) -> None:
    """Give a dataset the elements of a derived image, in place.

    Args:
        dataset: all elements of a file.
        digest: checksum of its new pixels.
        series_entropy: texts that the new Series Instance UID depends on besides the old one.
    """
    dataset.SOPInstanceUID = uid.generate_uid(entropy_srcs=[dataset.SOPInstanceUID, digest])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if dataset.get("SeriesInstanceUID"):
        dataset.SeriesInstanceUID = uid.generate_uid(entropy_srcs=[dataset.SeriesInstanceUID, *series_entropy])
    dataset.ImageType = _derived(dataset.get("ImageType"))
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in dataset.get(groups) or ():
            for item in (item for element in group if element.VR == "SQ" for item in element.value):
                if "FrameType" in item:
                    item.FrameType = _derived(item.FrameType)
    before = f"{dataset.DerivationDescription}; " if dataset.get("DerivationDescription") else ""
    dataset.DerivationDescription = before[: _MAX_DERIVATION - len(DERIVATION)] + DERIVATION


def update_extremes(dataset: Any, low: int, high: int) -> None:
    """Update the elements for the smallest and largest pixel value, if present."""
    extremes = {"SmallestImagePixelValue": low, "LargestImagePixelValue": high}
    if dataset.get("SmallestPixelValueInSeries") is not None:
        extremes["SmallestPixelValueInSeries"] = min(low, dataset.SmallestPixelValueInSeries)
    if dataset.get("LargestPixelValueInSeries") is not None:
        extremes["LargestPixelValueInSeries"] = max(high, dataset.LargestPixelValueInSeries)
    for keyword, value in extremes.items():
        if keyword in dataset:
            dataset[keyword].VR = "SS" if dataset.PixelRepresentation else "US"
            dataset[keyword].value = value


def _derived(image_type: Any) -> list[str]:
    values = [image_type] if isinstance(image_type, str) else list(image_type or ())
    return ["DERIVED", *(values[1:] or ["PRIMARY"])]
