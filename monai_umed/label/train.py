"""Train task that fits the perturbators to all labelled images, by the workflow of the bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.others.generic import name_to_device

from ..data.case import Case
from ..data.workspace import dataset_of
from ..io.checksum import sha256_path
from ..workflows.fit import fit
from ..workflows.presets import PRESETS, UMED, find_preset
from .datastore import labelled_cases
from .http_errors import http_errors
from .protected_folder import FIT
from .settings import Settings

# What a request may set, with what is shown before anybody does: the presets decide.
_OPTIONS: dict[str, Any] = {
    "preset": "",
    "eps": "",
    "max_epochs": "",
    "batch_size": "",
    "seed": "",
    "slice_axis": "",
    "working_size": "",
    "quick_check": False,
}


def fit_options(request: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """What the request gives, then what the server was started with."""
    eps = None if request.get("preset") else settings.parameters.eps  # the preset brings its own
    names = ("num_classes", "intensity_window", "ignore_label")
    server = {"eps": eps, **{name: getattr(settings, name) for name in names}}
    given = {name: request.get(name, default) for name, default in _OPTIONS.items()}
    chosen = {**server, **{name: value for name, value in given.items() if value not in (None, "")}}
    return {name: value for name, value in chosen.items() if value is not None}


def _check_preset(name: str) -> None:
    # A stamp is no fit: what is protected here later takes UMed's generators.
    known = [known for known, preset in PRESETS.items() if preset.method == UMED]
    if name in PRESETS and name not in known:
        raise ValueError(f"preset is {name!r}; it must be one of {', '.join(known)}")
    find_preset(name)


def _fit_folder(output: Path, cases: Sequence[Case], options: Mapping[str, Any]) -> Path:
    """Equal fits share a folder, so an interrupted one goes on; others never do, because their patterns differ."""
    files = [(case.id, sha256_path(case.image), sha256_path(case.label)) for case in cases]
    text = json.dumps([files, options], sort_keys=True)
    return output / f"{FIT}{hashlib.sha256(text.encode('utf-8')).hexdigest()[:12]}"


class UMedFit(TrainTask):
    """Runs the bundle's train.json on the labelled images, which also protects them.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__("fits the perturbators to all images with a final label, then protects these")
        self.settings = settings

    def config(self) -> dict[str, Any]:
        return dict(_OPTIONS)

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Fit, and protect all labelled images.

        Returns:
            ``checkpoint``, the ``protected`` folder, how many ``cases`` are in it, and ``left_out``, the reasons why
            others are not, by id.

        Raises:
            HTTPException: If no image has a final label, an option is out of range, or the disk is full or read-only.
        """
        with http_errors():
            cases = labelled_cases(datastore)
            options = fit_options(request, self.settings)
            folder = _fit_folder(self.settings.output, cases, options)
            _check_preset(options.get("preset", "default"))
            # MONAI Label's clients know the ids of train.json.
            for old, new in (("max_epochs", "epochs"), ("working_size", "grid")):
                if old in options:
                    options[new] = options.pop(old)
            with dataset_of(cases, folder / ".labelled") as dataset:
                device = torch.device(name_to_device(request.get("device")))
                done = fit(dataset, folder, **{"quick_check": False, **options, "device": device, "progress": False})
        return {
            "checkpoint": str(done.checkpoint),
            "protected": str(done.protected),
            "cases": len(done.manifest.cases),
            "left_out": {entry.id: entry.reason for entry in done.manifest.quarantined},
        }
