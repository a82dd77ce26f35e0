"""The MONAI Label app: its tasks, and what a task cannot see by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.config import settings as server
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.others.generic import name_to_device

from .datastore import AnsweringDatastore, add_protected, labelled_case, labelled_cases
from .http_errors import ConflictError, http_errors
from .infer import CASE, UMedProtect
from .protected_folder import open_release, protect_all
from .scoring import UMedFidelity
from .settings import DATASTORE, read_parameters, read_settings
from .train import UMedFit

PROTECT, FIT, FIDELITY = "umed_protect", "umed_fit", "umed_fidelity"


class UMedApp(MONAILabelApp):
    """Fits, protects and scores the images of a datastore.

    Args:
        app_dir: folder that ``monai-umed label-app`` wrote.
        studies: folder of the images.
        conf: see :func:`monai_umed.label.settings.read_settings`.

    Raises:
        ValueError: ``conf`` holds something that is no setting, or ``studies`` is no folder that can be written.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.umed = read_settings(conf or {}, studies)
        self._protect = UMedProtect(self.umed)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="UMed",
            description="Protects labelled images against unauthorized training",
        )
        # MONAI Label would score after every start, fit and image that it hands out: this scoring reads every file.
        self._auto_update_scoring = False

    def init_datastore(self) -> Datastore:
        if self.studies.startswith(("http://", "https://")):
            raise ValueError(f"studies are {self.studies}; this app needs a folder, export the images into one")
        try:
            return AnsweringDatastore(
                self.studies,
                extensions=server.MONAI_LABEL_DATASTORE_FILE_EXT,
                auto_reload=server.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
                read_only=server.MONAI_LABEL_DATASTORE_READ_ONLY,
            )
        except OSError as error:
            cure = "MONAI Label keeps its index there; make it writable, or copy the images to a disk that is"
            raise ValueError(f"studies are {self.studies}, which cannot be used ({error}); {cure}") from error

    def init_infers(self) -> dict[str, InferTask]:
        return {PROTECT: self._protect}

    def init_trainers(self) -> dict[str, TrainTask]:
        return {FIT: UMedFit(self.umed)}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        return {FIDELITY: UMedFidelity(self.umed)}

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Hand the image's final label to the task, and never let its result become a label."""
        datastore = datastore or self.datastore()
        if request.get("model") != PROTECT:
            return super().infer(request, datastore)
        with http_errors():
            case = labelled_case(datastore, str(request.get("image", "")))
            if "label" in request:
                raise ValueError("a label was sent along; save it with PUT /datastore/label?tag=final, then repeat")
            request = {**request, CASE: case, "image": str(case.image), "save_label": False}
            result = super().infer(request, datastore)
            try:
                self._keep(result["params"], request, datastore)
            except BaseException:
                Path(result["file"]).unlink(missing_ok=True)  # else the server deletes it when it is sent
                raise
        return result

    def batch_infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Protect all labelled images into one folder; MONAI Label's own batches would store them as labels.

        Returns:
            ``folder``, ``cases`` (ids that are protected) and ``left_out`` (reasons by id).
        """
        datastore = datastore or self.datastore()
        if request.get("model") != PROTECT:
            return super().batch_infer(request, datastore)
        with http_errors():
            if request.get("images") == BatchInferImageType.IMAGES_UNLABELED:
                raise ConflictError("images without a final label cannot be protected; ask for images=labeled")
            parameters = read_parameters(request, self.umed.parameters)
            release = open_release(self.umed, parameters, name_to_device(request.get("device")))
            manifest = protect_all(release, labelled_cases(datastore))
            if parameters.into == DATASTORE:
                for record in manifest.cases:
                    add_protected(datastore, record.id, release.folder / record.image)
        return {
            "folder": str(release.folder),
            "cases": [record.id for record in manifest.cases],
            "left_out": {entry.id: entry.reason for entry in manifest.quarantined},
        }

    def on_save_label(self, image_id: str, label_id: str) -> dict[str, Any] | None:
        """Protect the image if the server was asked to.

        The label is saved in any case, so what goes wrong here is told in the answer and makes it no failure.
        """
        super().on_save_label(image_id, label_id)
        if not self.umed.protect_on_save:
            return None
        try:
            with http_errors():
                done = self._protect.protect(labelled_case(self.datastore(), image_id), {}).describe()
                self._keep(done, {}, self.datastore())
                return {PROTECT: done}
        except HTTPException as error:
            return {PROTECT: {"error": error.detail}}

    def _keep(self, done: Mapping[str, Any], request: Mapping[str, Any], datastore: Datastore) -> None:
        """Make a protected image one of the datastore's if that was asked for."""
        if read_parameters(request, self.umed.parameters).into == DATASTORE:
            add_protected(datastore, done["id"], Path(done["folder"]) / done["image"])
