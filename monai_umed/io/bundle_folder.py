"""Where the bundle lies, and where its runs write unless they are told where."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "bundles"
_CHECKOUT = _PACKAGE.parent / "bundles"


def bundle_root(name: str = "umed") -> str:
    """Absolute path of a bundle: the current folder, ``bundles/NAME`` of a checkout, or the installed copy.

    A folder counts if it holds ``configs/metadata.json`` with this package's name in it, so that starting another
    bundle's command from that bundle's folder finds ours all the same.

    Raises:
        FileNotFoundError: if there is no such bundle; all places that were searched are named.

    Example:
        >>> mu.bundle_root().endswith("umed")
        True
    """
    places = [Path.cwd(), Path.cwd() / "bundles" / name, _CHECKOUT / name, _INSTALLED / name]
    for place in places:
        metadata = place / "configs" / "metadata.json"
        if metadata.is_file() and "monai_umed" in metadata.read_text(encoding="utf-8"):
            return str(place.resolve())
    raise FileNotFoundError(f"No bundle {name!r} in {', '.join(map(str, places))}; install monai_umed again.")


def outputs_root(bundle: str | Path) -> str:
    """Folder that runs write to unless they are told where: ``outputs`` in the bundle.

    For the installed copy it is ``outputs`` in the current folder: nobody looks for results among installed packages,
    where updates remove them and many a user may not write.

    Args:
        bundle: the bundle's folder, as :func:`bundle_root` gives it.
    """
    installed = Path(bundle).resolve().parent == _INSTALLED
    return str(Path.cwd() / "outputs" if installed else Path(bundle) / "outputs")
