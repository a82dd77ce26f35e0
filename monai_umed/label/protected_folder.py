"""One folder of protected files per fit and setting, filled image by image or all at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from ..data.case import Case
from ..data.manifest import MANIFEST, TOOL, UNFINISHED, CaseRecord, Manifest
from ..data.windows import as_window
from ..io.provenance import tool_version
from ..io.stored import IntensityWindow
from ..protectors import Protector
from ..protectors.checkpoint import find_checkpoint, load_protector
from ..release.already_protected import refuse_protected
from ..release.case import clear_cases, protect_case
from ..release.layout import check_folders, protected_names
from ..release.protect import protect_dataset
from .http_errors import ConflictError
from .settings import Parameters, Settings

FIT = "fit_"
# How long a request waits for another process that writes into the same folder; the server answers nobody meanwhile.
_BUSY_SECONDS = 5


@dataclass(frozen=True)
class Release:
    """Where files go, and how they are protected.

    Attributes:
        folder: the protected folder, laid out as by :func:`monai_umed.release.protect.protect_dataset`.
        protector: the fitted protector with all that was asked for.
        seed: of the fit, for the record.
        num_classes: classes of the labels, background included.
        intensity_window: displayed values that map to 0 and 1, None for the files' own.
        ignore_label: value of the labels that is no class, None if all of them are.
    """

    folder: Path
    protector: Protector
    seed: int
    num_classes: int
    intensity_window: IntensityWindow | None
    ignore_label: int | None = None

    @property
    def manifest(self) -> Manifest:
        """A manifest without cases."""
        protector, void = self.protector, self.ignore_label
        return Manifest(TOOL, tool_version(), repr(protector), self.seed, protector.eps, ignore_label=void)


def choose_checkpoint(settings: Settings) -> Path:
    """The fitted protector of a server: the one that it was started with, or that of its newest fit.

    Raises:
        ConflictError: If there is none.
    """
    if settings.checkpoint is not None:
        return settings.checkpoint
    found = (find_checkpoint(folder) for folder in settings.output.glob(f"{FIT}*"))
    fits = sorted((path for path in found if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    if not fits:
        cure = "fit one with POST /train/umed_fit, or start the server with --conf checkpoint FILE"
        raise ConflictError(f"there is no fitted protector in {settings.output}; {cure}")
    return fits[-1]


def _home(checkpoint: Path, settings: Settings) -> Path:
    """Folder of everything that one checkpoint protects: fits never share one, because their patterns differ."""
    if settings.checkpoint is None:
        return checkpoint.parent
    return settings.output / f"checkpoint_{hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:12]}"


def _adjusted(protector: Protector, parameters: Parameters) -> tuple[Protector, str]:
    """The protector with what was asked for, and the name of the folder that its files go to."""
    changes: dict[str, Any] = {}
    name = "protected"
    if parameters.eps not in (None, protector.eps):
        changes["eps"] = parameters.eps
        name += f"_eps_{parameters.eps:.6g}"
    if parameters.band_mm is not None:
        changes |= {"band_radius": parameters.band_mm, "band_unit": "mm"}
        name += f"_band_{parameters.band_mm:g}mm"
    if not changes:
        return protector, name
    settings = protector.settings()
    if unknown := changes.keys() - settings.keys():
        raise ValueError(f"{type(protector).__name__} has no {', '.join(sorted(unknown))}; leave band_mm out")
    adjusted = type(protector).from_settings({**settings, **changes})
    adjusted.load_state(protector.state())
    return adjusted, name


def open_release(settings: Settings, parameters: Parameters, device: str = "cpu") -> Release:
    """Load the protector and settle where its files go.

    Args:
        settings: of the server.
        parameters: of the request.
        device: where the generators run.

    Raises:
        ConflictError: If nothing was fitted yet.
        CheckpointError: If the checkpoint is damaged.
    """
    checkpoint = choose_checkpoint(settings)
    protector, name = _adjusted(load_protector(checkpoint, device), parameters)
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    fitted = content.get("record") or {}  # the settings of the fit: labels and windows must be read as it did
    return Release(
        folder=_home(checkpoint, settings) / name,
        protector=protector,
        seed=int(fitted.get("seed", 0)),
        num_classes=settings.num_classes or int(fitted.get("num_classes", 2)),
        intensity_window=settings.intensity_window or as_window(fitted.get("intensity_window", fitted.get("window"))),
        ignore_label=settings.ignore_label or fitted.get("ignore_label"),
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other requests and processes out of a folder; the lock lies beside it, where nothing is published."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock"), timeout=_BUSY_SECONDS):
        yield


def _checked_manifest(release: Release, case: Case) -> Manifest:
    """The folder's manifest without ``case``, after making sure that nothing foreign is lost."""
    folder, manifest = release.folder, release.manifest
    if (folder / UNFINISHED).exists():
        raise ConflictError(f"{folder} is unfinished; run the batch that was interrupted again")
    if (folder / MANIFEST).exists():
        found = Manifest.load(folder / MANIFEST)
        names = ("tool", "version", "protector", "seed", "eps", "ignore_label")
        if different := [name for name in names if getattr(found, name) != getattr(manifest, name)]:
            raise ConflictError(f"{folder} was protected otherwise ({', '.join(different)}); move it away, then repeat")
        manifest = found
    others = [record for record in manifest.cases if record.id != case.id]
    expected = [Case(it.id, case.image.parent / it.source, case.label.parent / Path(it.label).name) for it in others]
    check_folders([*expected, case], folder)
    manifest.cases = others
    manifest.quarantined = [entry for entry in manifest.quarantined if entry.id != case.id]
    return manifest


def protect_one(release: Release, case: Case) -> CaseRecord:
    """Protect one image into the release's folder and enter it into the manifest there.

    Protecting it again, for example with a new label, replaces it. Whatever goes wrong, the folder and its manifest
    stay in step: the image is there whole or not at all.

    Raises:
        CaseError, DatasetError, ConflictError: the case cannot be used, or the folder holds something else.
        Timeout: another request is still writing.
        OSError: If the folder cannot be written.
    """
    refuse_protected([case])
    case = replace(case, ignore_label=release.ignore_label)
    with _alone(release.folder):
        manifest = _checked_manifest(release, case)
        for name in protected_names(case):
            (release.folder / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            record = protect_case(
                case,
                release.protector,
                release.folder,
                num_classes=release.num_classes,
                intensity_window=release.intensity_window,
            )
            manifest.cases = [*manifest.cases, record]
            manifest.save(release.folder / MANIFEST)
        except BaseException:
            with suppress(OSError):
                _forget(release.folder, case)
            raise
    return record


def _forget(folder: Path, case: Case) -> None:
    """Remove a case whose files may be half new: from the manifest first, which promises that they are there."""
    if (folder / MANIFEST).exists():
        manifest = Manifest.load(folder / MANIFEST)
        manifest.cases = [record for record in manifest.cases if record.id != case.id]
        manifest.save(folder / MANIFEST)
    clear_cases([case], folder)


def protect_all(release: Release, cases: Sequence[Case]) -> Manifest:
    """Protect a whole datastore; killed, it goes on at the next call.

    See :func:`monai_umed.release.protect.protect_dataset`.

    Raises:
        DatasetError: as there.
        Timeout: another request is still writing.
    """
    cases = [replace(case, ignore_label=release.ignore_label) for case in cases]
    with _alone(release.folder):
        return protect_dataset(
            cases,
            release.protector,
            release.folder,
            seed=release.seed,
            num_classes=release.num_classes,
            intensity_window=release.intensity_window,
            progress=False,
        )
