"""Infer task that protects one image of the datastore with its final label."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.utils.others.generic import name_to_device

from ..data.case import Case
from ..data.manifest import CaseRecord
from ..io.suffixes import split_name
from .protected_folder import open_release, protect_one
from .settings import Settings, read_parameters

CASE = "umed_case"
"""Where the app puts the image and its label into a request: a task sees neither the datastore nor the image's id."""


@dataclass(frozen=True)
class Protected:
    """A protected image.

    Attributes:
        record: its entry in the manifest.
        folder: the protected folder.
    """

    record: CaseRecord
    folder: Path

    def describe(self) -> dict[str, Any]:
        """What a client is told."""
        return {**self.record.entry(), "folder": str(self.folder)}


def _download_copy(file: Path) -> str:
    """A temporary copy: the server deletes the file that a task returns as soon as it is sent."""
    with tempfile.NamedTemporaryFile(suffix=split_name(file.name)[1], delete=False) as copy, file.open("rb") as source:
        shutil.copyfileobj(source, copy)
    return copy.name


class UMedProtect(InferTask):
    """Protects an image, writes it with its label into the release's folder and enters it into the manifest.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        usual = {name: "" if value is None else value for name, value in vars(settings.parameters).items()}
        parameters = {"preset": "", **usual}
        super().__init__(
            type=InferType.OTHERS,
            labels=None,
            dimension=3,
            description="protects an image where its final label says, in its own format",
            config=parameters,
        )
        self.settings = settings

    def is_valid(self) -> bool:
        return True

    def protect(self, case: Case, request: Mapping[str, Any]) -> Protected:
        """Protect a case with what the request asks for.

        Raises:
            ValueError, OSError: see :func:`monai_umed.label.protected_folder.protect_one`.
        """
        parameters = read_parameters(request, self.settings.parameters)
        release = open_release(self.settings, parameters, name_to_device(request.get("device")))
        return Protected(protect_one(release, case), release.folder)

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Protect the request's case.

        Returns:
            A copy of the protected image for the client, and the manifest's entry with the folder that it is in.
        """
        done = self.protect(request[CASE], request)
        return _download_copy(done.folder / done.record.image), done.describe()
