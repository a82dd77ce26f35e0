"""Refuse images that are stored rotated or mirrored, with a tag that tells viewers to undo it."""

from .stored import CodecError

ORIENTATION = 274
"""Number of the tag in EXIF and in TIFF."""
_TURNED = range(2, 9)  # 1 is upright; viewers ignore all other values


def check_upright(name: str, orientation: object) -> None:
    """Refuse an image that viewers and annotation tools display differently from its stored pixels.

    Its mask may fit either, so the perturbation might miss the structure.

    Args:
        name: name of the file, for errors.
        orientation: value of the tag `ORIENTATION`, or None.

    Raises:
        CodecError: If the tag says that the image must be rotated or mirrored.
    """
    if orientation in _TURNED:
        raise CodecError(
            name,
            f"its tag Orientation ({ORIENTATION}) is {orientation}, must be 1: it is stored otherwise than it is shown",
            "save it upright with PIL.ImageOps.exif_transpose of Python, and so its mask if that fits what is stored",
        )
