"""Locate the bundle, and the default output folder of its runs."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "bundles"
_CHECKOUT = _PACKAGE.parent / "bundles"


def bundle_root(name: str = "umed") -> str:
    """Return the absolute path of a bundle: the current folder, ``bundles/NAME`` of a checkout, or the installed copy.

    A folder is accepted if its ``configs/metadata.json`` contains this package's name, so that the current folder may
    be another bundle.

    Raises:
        FileNotFoundError: If there is no such bundle; the message lists all places that were searched.

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
    """Return the default output folder of runs: ``outputs`` in the bundle.

    For the installed copy it is ``outputs`` in the current folder, because updates remove what is among installed
    packages, and users may not be allowed to write there.

    Args:
        bundle: the bundle's folder, from :func:`bundle_root`.
    """
    installed = Path(bundle).resolve().parent == _INSTALLED
    return str(Path.cwd() / "outputs" if installed else Path(bundle) / "outputs")
