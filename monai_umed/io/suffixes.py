"""File name endings: which formats are read, which are lossless, and what an output file is called."""

from pathlib import Path

LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz", ".img", ".nrrd", ".mha", ".dcm")
"""Formats that are read and written; ``.img`` holds the voxels of a NIfTI pair, with its ``.hdr`` beside it."""
LOSSY = (".jpg", ".jpeg")
"""Formats that are read only: lossy compression would erase the perturbation."""
SUPPORTED = LOSSLESS + LOSSY


def split_name(name: str) -> tuple[str, str]:
    """Split a file name into stem and lower-case suffix; ``.nii.gz`` counts as one suffix.

    Args:
        name: file name without folders; the stem may hold dots, spaces and parentheses.

    Returns:
        ``(stem, suffix)``, for example ``("benign (1)", ".png")`` or ``("brain.v2", ".nii.gz")``.
    """
    if name.lower().endswith(".nii.gz"):
        return name[: -len(".nii.gz")], ".nii.gz"
    path = Path(name)
    return path.stem, path.suffix.lower()


def output_name(path: str | Path) -> str:
    """Name under which the protected version of ``path`` is stored.

    Args:
        path: image file, or folder of DICOM slices.

    Returns:
        The same name, except that a file's lossy ending (``.jpg``, ``.jpeg``) becomes ``.png``.
    """
    path = Path(path)
    stem, suffix = split_name(path.name)
    return f"{stem}.png" if suffix in LOSSY and not path.is_dir() else path.name
