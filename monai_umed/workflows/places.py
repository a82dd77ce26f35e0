"""Where runs of the bundle read and write unless they are told."""

from __future__ import annotations

from pathlib import Path

from ..data.cases import Section
from ..data.phantom import phantom_dir
from ..io.bundle_folder import outputs_root
from .listed_files import ListedFiles


def usual_dataset(*, listed: ListedFiles | None = None, spatial_dims: int | None = None) -> str:
    """The files that MONAI Label listed in a config, else the phantom, which is drawn if it is not there yet.

    Args:
        listed: what was listed, if anything.
        spatial_dims: 3 for the phantom of volumes; 2 or None for that of images.
    """
    if listed is not None and listed.folder is not None:
        return str(listed.folder)
    return str(phantom_dir(3 if spatial_dims == 3 else 2))


def usual_section(*, dataset_dir: str) -> Section:
    """All cases of a dataset; of the phantom, whose training section the shipped generators know, the section test."""
    return "test" if (Path(dataset_dir) / "phantom.json").is_file() else "all"


def usual_output(*, bundle_root: str, dataset_dir: str, section: Section | None = None) -> str:
    """A folder below the bundle's outputs that has the name of the dataset.

    Args:
        bundle_root: folder of the bundle.
        dataset_dir: folder of the dataset.
        section: what is protected with generators that were fitted elsewhere; a folder in the former says so.
    """
    place = Path(outputs_root(bundle_root)) / Path(dataset_dir).resolve().name
    return str(place if section is None else place / f"protected_{section}")


def public_model(*, bundle_root: str) -> str:
    """The generators that the bundle ships, which were fitted to the phantom."""
    return str(Path(bundle_root) / "models" / "model.pt")


def usual_release(*, bundle_root: str, test_dir: str) -> str:
    """What a fit to a dataset protects unless it is told another place."""
    return str(Path(usual_output(bundle_root=bundle_root, dataset_dir=test_dir)) / "protected")


def usual_audit(*, bundle_root: str, release: str) -> str:
    """A folder below the bundle's outputs that has the name of the release."""
    return str(Path(outputs_root(bundle_root)) / "audits" / Path(release).resolve().parent.name)
