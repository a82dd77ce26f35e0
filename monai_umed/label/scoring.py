"""Scoring method that checks protected files against their originals and enters the figures into the datastore."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from ..data.case import Case
from ..data.manifest import MANIFEST, Manifest
from ..data.workspace import dataset_of
from ..release.verify import verify_folder
from .datastore import labelled_cases
from .http_errors import ConflictError, http_errors
from .protected_folder import open_release
from .settings import Settings, read_parameters

INFO = "umed"
"""Entry of an image's info in the datastore."""

_FIGURES = ("psnr", "ssim", "max_abs_delta", "perturbed_fraction", "sha256_after")


def audit_verdict(folder: Path) -> dict[str, Any] | None:
    """Verdict and reason of the audit of a protected folder, if it lies beside it in ``audit``; None if none does."""
    try:
        scores = json.loads((folder.parent / "audit" / "scores.json").read_text(encoding="utf-8"))
        if Path(scores["settings"]["protected_dir"]).resolve() != folder.resolve():
            return None
        return {name: scores[name] for name in ("verdict", "reason")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


class UMedFidelity(ScoringMethod):
    """PSNR, SSIM and largest change of every protected image, after verifying files, geometry and budget.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__("PSNR, SSIM, largest change and audit verdict of protected images, after verifying them")
        self.settings = settings

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Verify the release that the request's parameters lead to, and describe it.

        Returns:
            ``images``, by id ``psnr`` (dB), ``ssim``, ``max_abs_delta`` (stored units), ``perturbed_fraction``,
            ``sha256_after``, ``folder``, ``problems`` (empty if all is well) and, where there is one, ``audit``; the
            same is entered into the images' info. ``problems`` of the folder itself, one of them if nothing is
            protected yet: whoever scores everything now and then need not know.

        Raises:
            HTTPException: If a parameter is out of range, or files cannot be read or written.
        """
        with http_errors():
            try:
                release = open_release(self.settings, read_parameters(request, self.settings.parameters))
                cases = labelled_cases(datastore)
            except ConflictError as error:
                return {"images": {}, "problems": [str(error)]}
            scores = _score(release.folder, cases)
            for image_id in scores["images"].keys() & set(datastore.list_images()):
                datastore.update_image_info(image_id, {INFO: scores["images"][image_id]})
        return scores


def _score(folder: Path, cases: Sequence[Case]) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file():
        return {"images": {}, "problems": [f"nothing is protected in {folder} yet; protect an image or run a batch"]}
    with dataset_of(cases, folder.with_name(f".{folder.name}.originals")) as originals:
        found = verify_folder(folder, originals, progress=False)
    problems = defaultdict(list)
    for problem in found:
        problems[problem.id].append(problem.what)
    audit = audit_verdict(folder)
    images: dict[str, Any] = {}
    for record in Manifest.load(folder / MANIFEST).cases:
        figures = {name: getattr(record, name) for name in _FIGURES}
        images[record.id] = {**figures, "folder": str(folder), "problems": problems.pop(record.id, [])}
        if audit is not None:
            images[record.id]["audit"] = audit
    return {"images": images, "problems": [text for texts in problems.values() for text in texts]}
