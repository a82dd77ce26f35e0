"""The images and labels of a folder, as MONAI Label keeps them, with answers instead of crashes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag

from ..data.case import Case
from .http_errors import ConflictError, UnknownImageError, http_errors

TAG = "protected"
"""Marks an image of the datastore as a protected copy of another: it is neither annotated nor protected again."""


def is_protected(datastore: Datastore, image_id: str) -> bool:
    """Whether an image is a protected copy that this app added."""
    return datastore.get_image_info(image_id).get("tag") == TAG


def _check_name(what: str, name: str) -> None:
    """MONAI Label joins names to paths: others would write anywhere on the disk."""
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ValueError(f"{what} {name!r} is no plain name; leave out folders and slashes")


class AnsweringDatastore(LocalDatastore):
    """MONAI Label's local datastore; whatever cannot be stored is an HTTP answer with its reason."""

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        with http_errors():
            _check_name("image id", image_id)
            return super().add_image(image_id, image_filename, image_info)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        with http_errors():
            _check_name("label tag", label_tag)
            return super().save_label(image_id, label_filename, label_tag, label_info)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        with http_errors():
            super().update_image_info(image_id, info)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        with http_errors():
            super().update_label_info(label_id, label_tag, info)

    def remove_image(self, image_id: str) -> None:
        with http_errors():
            super().remove_image(image_id)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        with http_errors():
            super().remove_label(label_id, label_tag)

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Images to annotate: protected copies are none."""
        return [name for name in super().get_unlabeled_images(label_tag, labels) if not is_protected(self, name)]


def labelled_case(datastore: Datastore, image_id: str) -> Case:
    """An image of the datastore with its final label.

    Raises:
        UnknownImageError: If there is no such image.
        ConflictError: If it has no final label, or is a protected copy itself.
    """
    image = datastore.get_image_uri(image_id) if image_id in datastore.list_images() else ""
    if not image:
        raise UnknownImageError(f"there is no image {image_id!r}; upload it with PUT /datastore/image, or check its id")
    if is_protected(datastore, image_id):
        raise ConflictError(f"image {image_id!r} is a protected copy; give the id of its original")
    label = datastore.get_label_uri(image_id, DefaultLabelTag.FINAL)
    if not label:
        cure = "draw it and submit it, or upload it with PUT /datastore/label?tag=final"
        raise ConflictError(f"image {image_id!r} has no final label, which says where to protect; {cure}")
    return Case(image_id, Path(image), Path(label))


def labelled_cases(datastore: Datastore) -> list[Case]:
    """All images with a final label, without protected copies, sorted by id.

    Raises:
        ConflictError: If there is none.
    """
    cases = list(_labelled(datastore))
    if not cases:
        raise ConflictError("no image has a final label; draw some and submit them, or upload them first")
    return cases


def _labelled(datastore: Datastore) -> Iterator[Case]:
    for image_id in sorted(datastore.get_labeled_images()):
        if not is_protected(datastore, image_id):
            yield labelled_case(datastore, image_id)


def add_protected(datastore: Datastore, image_id: str, file: Path) -> str:
    """Add a protected image to the datastore as an image of its own, ``ID_protected``, with the tag `TAG`.

    Args:
        datastore: holds the original.
        image_id: id of the original.
        file: the protected image.

    Returns:
        Id of the new image. An earlier one of this id is replaced.

    Raises:
        ConflictError: If an image that is no protected copy has this id.
    """
    copy_id = f"{image_id}_{TAG}"
    if copy_id in datastore.list_images() and not is_protected(datastore, copy_id):
        raise ConflictError(f"image {copy_id!r} is no protected copy but has the id of one; rename it")
    return datastore.add_image(copy_id, str(file), {"tag": TAG, "original": image_id})
