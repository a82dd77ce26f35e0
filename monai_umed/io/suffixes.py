"""File name suffixes: the supported formats, and the names of output files."""

from pathlib import Path

LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz", ".img", ".nrrd", ".mha", ".dcm")
"""Formats that are read and written; ``.img`` is the file of a NIfTI pair's voxels, with a ``.hdr`` beside it."""
LOSSY = (".jpg", ".jpeg")
"""Formats that are only read, because lossy compression would erase the perturbation."""
SUPPORTED = LOSSLESS + LOSSY


def split_name(name: str) -> tuple[str, str]:
    """Split a file name into stem and lower-case suffix; ``.nii.gz`` counts as one suffix.

    Args:
        name: file name without folders; the stem may contain dots, spaces and parentheses.

    Returns:
        ``(stem, suffix)``, for example ``("benign (1)", ".png")`` or ``("brain.v2", ".nii.gz")``.
    """
    if name.lower().endswith(".nii.gz"):
        return name[: -len(".nii.gz")], ".nii.gz"
    dot = name.rfind(".")
    return (name[:dot], name[dot:].lower()) if 0 < dot < len(name) - 1 else (name, "")


def output_name(path: str | Path) -> str:
    """Return the name of the protected version of an image file or folder of DICOM slices.

    It is the same name, except that a file's lossy suffix (``.jpg``, ``.jpeg``) becomes ``.png``.
    """
    path = Path(path)
    stem, suffix = split_name(path.name)
    return f"{stem}.png" if suffix in LOSSY and not path.is_dir() else path.name
