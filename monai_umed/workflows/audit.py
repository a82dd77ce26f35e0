"""Audit a release: find out how much exploiters can still learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.cases import Section, find_cases
from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir, as_dataset, places_of
from ..data.windows import GivenWindow, as_window
from ..io.bundle_folder import bundle_root
from ..io.user_cache import user_cache
from .undo import find_protected

if TYPE_CHECKING:
    from ..evaluation.audit.scores import AuditScores


def _absolute(data: DatasetDir, labels: str | Path | None) -> DatasetDir:
    """Return a dataset with absolute paths, since an audit may be continued from another folder."""
    images, own_labels = places_of(data)
    if labels is None and own_labels is None:
        images = str(Path(images).resolve())
    return as_dataset(images, labels or own_labels)


def _reading(protected: Path) -> dict[str, Any]:
    """Return how labels are read, as the manifest says; nothing for folders of other programs."""
    if not (protected / MANIFEST).is_file():
        return {}
    manifest = Manifest.load(protected / MANIFEST)
    return {"ignore_label": manifest.ignore_label, "merge_masks": manifest.merges_masks}


def audit(
    release: str | Path,
    output: str | Path | None = None,
    *,
    clean: DatasetDir,
    test: DatasetDir,
    labels: str | Path | None = None,
    test_labels: str | Path | None = None,
    test_section: Section | None = None,
    preset: str = "quick",
    exploiters: Sequence[str] | None = None,
    defenses: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    grid: Sequence[int] | None = None,
    network_size: str = "small",
    recipe: str = "fast",
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    amp: bool = True,
    foreign: str | Path | None = None,
    num_classes: int | None = None,
    intensity_window: GivenWindow | None = None,
    slice_axis: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    cache: bool = True,
    stop_when_decided: bool = False,
    progress: bool = True,
) -> AuditScores | None:
    """Train exploiters on protected files and on their clean originals with the same defenses, and judge.

    All are scored on clean test images. ``scores.json`` and ``report.html`` are written to ``output``. An interrupted
    audit is continued; exploiters, defenses and seeds may be added later.

    Args:
        release: output folder of :func:`monai_umed.protect`, or the protected folder itself.
        output: folder of this audit. Default: a folder in the bundle's outputs.
        clean: the originals, under the same names; see :func:`monai_umed.find_cases`.
        test: clean cases to score on, none of which may be among the protected cases.
        labels, test_labels: folders of labels, if ``clean`` or ``test`` contain images only.
        test_section: ``"train"``, ``"test"`` or ``"all"`` of ``test``. Default: ``"test"`` if it is the dataset
            ``clean``, else ``"all"``.
        preset: ``"quick"``, three networks, seven defenses (nine for color images) and one seed, or ``"full"``,
            everything with three seeds.
        exploiters, defenses, seeds: replace those of the preset; names as in `monai-umed list`.
        grid: grid that exploiters train on, in pixels; of volumes, the patch. Default: determined from the test cases.
        network_size: ``"small"`` or ``"paper"``.
        recipe: ``"fast"``, 15 epochs, of volumes 300 steps of four patches; or ``"paper"``, 150 epochs with a tenth of
            the learning rate.
        epochs, learning_rate, batch_size: replace those of the recipe.
        amp: whether to use bfloat16 where it is safe.
        foreign: other public images that exploiters have. Default: the phantom.
        num_classes: classes of the masks, background included. Default: determined from the test masks.
        intensity_window: displayed intensities of black and white, two numbers or the name of a CT window; or a list,
            one per channel.
        slice_axis: axis along which volumes are divided into slices, for 2D networks.
        device: where to train. Default: a GPU, if there is one.
        workers: number of trainings at the same time.
        cache: whether trainings on clean files that earlier runs on this machine have done are used, see
            :func:`monai_umed.io.user_cache.user_cache`.
        stop_when_decided: whether to leave out trainings that can no longer change the verdict; the report names them.
        progress: whether to show progress bars.

    Returns:
        The content of ``scores.json``; None if trainings on other machines are still missing.

    Raises:
        DatasetError: If the folders do not fit each other.
        ValueError: If a name is unknown, a number out of range, or the output folder belongs to another audit.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=12, num_test=10)
        >>> release = mu.protect(data, work / "out", preset="stamp", progress=False)
        Protected 12 cases ...
        >>> quick = {"exploiters": ["unet-batch"], "defenses": ["none"], "epochs": 1, "grid": (32, 32), "workers": 1}
        >>> scores = mu.audit(work / "out", work / "audit", clean=data, test=data, progress=False, **quick)
        Trainings to run: 5, 1 at a time...
        >>> (work / "audit" / "report.html").is_file(), len(scores.rows)
        (True, 1)
    """
    protected = find_protected(release).resolve()
    reading = _reading(protected)
    originals, tests = (
        as_dataset(_absolute(data, apart), **reading) for data, apart in ((clean, labels), (test, test_labels))
    )
    section: Section = test_section or ("test" if tests == originals else "all")
    find_cases(tests, section)  # a wrong path is told before torch is loaded

    from ..data.fingerprint import inspect_dataset
    from ..evaluation.audit.plan import Audit
    from ..evaluation.audit.plan import preset as choose_preset
    from ..evaluation.audit.run import run_audit
    from ..exploiters.train import RECIPES
    from ..training.devices import usual_device
    from .places import usual_audit

    if recipe not in RECIPES:
        raise ValueError(f"recipe is {recipe!r}; it must be one of {', '.join(RECIPES)}.")
    facts = inspect_dataset(tests, section, slice_axis=slice_axis)
    training = dict(RECIPES["volumes" if recipe == "fast" and facts.spatial_dims == 3 else recipe])
    given = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
    training |= {name: value for name, value in given.items() if value is not None}
    if epochs is not None:
        training.pop("steps", None)
    usual = choose_preset(preset, color=facts.in_channels == 3)
    plan = Audit(
        as_dataset(protected, **reading),
        originals,
        test_dir=tests,
        test_section=section,
        grid=tuple(grid or facts.patch),
        exploiters=tuple(exploiters or usual["exploiters"]),
        defenses=tuple(defenses or usual["defenses"]),
        seeds=tuple(usual["seeds"] if seeds is None else seeds),
        network_size=network_size,
        num_classes=num_classes or facts.num_classes,
        intensity_window=as_window(intensity_window),
        foreign_dir=None if foreign is None else str(foreign),
        recipe={**training, "amp": amp},
        device=str(usual_device() if device is None else device),
        slice_axis=slice_axis,
    )
    folder = output or usual_audit(bundle_root=bundle_root(), release=str(protected))
    return run_audit(
        plan,
        folder,
        workers=workers,
        progress=progress,
        cache=user_cache() if cache else None,
        stop_when_decided=stop_when_decided,
    )
