"""Elements that make a DICOM file a derived image.

Elements that a written file has different from its source, and why:

* Pixel Data: the perturbed values, always uncompressed. Lossy compression would erase the perturbation, lossless
  compression needs further packages. Of compressed color, Photometric Interpretation and Planar Configuration follow;
  padding bytes after the last pixel are dropped.
* Transfer Syntax UID: Explicit VR Little Endian, the one that every reader knows; group lengths (retired) go with it.
* SOP Instance UID, Media Storage SOP Instance UID: the standard demands new ones for other pixels. They are computed
  from the old one and the pixels, so that equal pixels give equal files.
* Series Instance UID: a series must not mix originals and derived images. Computed from the old one, for a series
  folder also from all its pixels; files that are cases of their own but share a series share one afterwards, too.
* Image Type and Frame Type: the first value becomes ``DERIVED``. Derivation Description: says what was done, after
  what was there.
* Smallest and Largest Image Pixel Value, if present: those of the new pixels. Those of the series are widened.

They differ in every written file, with a perturbation of zero as well. Study and Frame of Reference UID stay, and so do
Lossy Image Compression and its ratio. Private elements stay, too: should a vendor keep a second copy of the image
there (or a thumbnail in Icon Image Sequence), that copy is not protected. References from other files, such as a
DICOM SEG, still name the old UIDs.
"""

from collections.abc import Sequence
from typing import Any

from pydicom import uid

DERIVATION = "Protected by monai_umed: bounded perturbation of the stored values"
_MAX_DERIVATION = 1024  # characters that the element holds


def mark_derived(dataset: Any, digest: str, series_entropy: Sequence[str]) -> None:
    """Give a dataset the elements of a derived image.

    Args:
        dataset: all elements; changed in place.
        digest: checksum of its new pixels.
        series_entropy: what the new Series Instance UID depends on besides the old one.
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
    """Bring the elements that name the smallest and largest pixel, where present, to the new pixels."""
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
