"""The default inputs and outputs of the bundle's runs."""

from __future__ import annotations

from pathlib import Path

from ..data.cases import Section
from ..data.phantom import phantom_dir
from ..io.bundle_folder import outputs_root
from .listed_files import ListedFiles


def usual_dataset(*, listed: ListedFiles | None = None, spatial_dims: int | None = None) -> str:
    """Return the files that MONAI Label listed in a config, if any, else the phantom, which is written if needed.

    Args:
        listed: the listed files.
        spatial_dims: 3 for the phantom of volumes; 2 or None for that of images.
    """
    if listed is not None and listed.folder is not None:
        return str(listed.folder)
    return str(phantom_dir(3 if spatial_dims == 3 else 2))


def usual_section(*, dataset_dir: str) -> Section:
    """Return ``"all"``, but ``"test"`` for the phantom, since the bundle's generators are fitted to the rest."""
    return "test" if (Path(dataset_dir) / "phantom.json").is_file() else "all"


def usual_output(*, bundle_root: str, dataset_dir: str, section: Section | None = None) -> str:
    """Return a folder in the bundle's outputs with the name of the dataset.

    Args:
        bundle_root: folder of the bundle.
        dataset_dir: folder of the dataset.
        section: section that is protected with generators that were fitted before, which gets a folder inside.
    """
    place = Path(outputs_root(bundle_root)) / Path(dataset_dir).resolve().name
    return str(place if section is None else place / f"protected_{section}")


def public_model(*, bundle_root: str) -> str:
    """Return the file of the bundle's generators, which were fitted to the phantom."""
    return str(Path(bundle_root) / "models" / "model.pt")


def usual_release(*, bundle_root: str, test_dir: str) -> str:
    """Return the default folder of what a fit to a dataset protects."""
    return str(Path(usual_output(bundle_root=bundle_root, dataset_dir=test_dir)) / "protected")


def usual_audit(*, bundle_root: str, release: str) -> str:
    """Return a folder in the bundle's outputs with the name of the release."""
    return str(Path(outputs_root(bundle_root)) / "audits" / Path(release).resolve().parent.name)
