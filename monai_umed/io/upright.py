"""Images whose pixels are stored turned, with a tag that tells viewers to turn them back."""

from .stored import CodecError

ORIENTATION = 274
"""Number of the tag in EXIF and in TIFF."""
_TURNED = range(2, 9)  # 1 is upright; viewers ignore all other values


def check_upright(name: str, orientation: object) -> None:
    """Refuse an image that viewers and annotation tools show turned or mirrored, compared with its stored pixels.

    Nothing tells whether its mask was drawn on what is shown or on what is stored, so the perturbation could lie beside
    the structure.

    Args:
        name: of the file.
        orientation: value of the tag `ORIENTATION`, None if there is none.

    Raises:
        CodecError: the tag says that the image is to be turned or mirrored.
    """
    if orientation in _TURNED:
        raise CodecError(
            name,
            f"its tag Orientation ({ORIENTATION}) is {orientation}, must be 1: it is stored otherwise than it is shown",
            "save it upright with PIL.ImageOps.exif_transpose of Python, and so its mask if that fits what is stored",
        )
