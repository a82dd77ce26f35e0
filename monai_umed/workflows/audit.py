"""Find out what the worst is that someone can do with protected files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.cases import Section
from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir, as_dataset, places_of
from ..data.windows import as_window
from ..io.bundle_folder import bundle_root
from .places import usual_audit
from .undo import find_protected

if TYPE_CHECKING:
    from ..evaluation.audit.scores import AuditScores


def _absolute(data: DatasetDir, labels: str | Path | None, ignore_label: int | None) -> DatasetDir:
    """A dataset under a name that means the same in every folder, since audits can be continued from anywhere."""
    images, own_labels = places_of(data)
    if labels is None and own_labels is None:
        images = str(Path(images).resolve())
    return as_dataset(images, labels or own_labels, ignore_label=ignore_label)


def _ignore_label(protected: Path) -> int | None:
    """The value of labels that is no class, as the manifest tells; folders of other programs have none."""
    return Manifest.load(protected / MANIFEST).ignore_label if (protected / MANIFEST).is_file() else None


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
    size: Sequence[int] | None = None,
    network_size: str = "small",
    recipe: str = "fast",
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    amp: bool = True,
    foreign: str | Path | None = None,
    num_classes: int | None = None,
    window: Sequence[float] | str | None = None,
    slice_axis: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> AuditScores | None:
    """Train exploiters on protected files and, under the same defenses, on their clean originals, and judge.

    All of them are scored on clean test images. ``scores.json`` and ``report.html`` go into ``output``. Interrupted, it
    goes on where it stopped; exploiters, defenses and seeds may be added later.

    Args:
        release: what :func:`monai_umed.protect` wrote, or the protected folder itself.
        output: folder of this audit. Default: a folder below the bundle's outputs.
        clean: the originals, under the same names; see :func:`monai_umed.find_cases`.
        test: clean cases to score on, none of which may be among the protected ones.
        labels, test_labels: folders of labels, if ``clean`` or ``test`` hold images alone.
        test_section: ``"train"``, ``"test"`` or ``"all"`` of ``test``. Default: ``"test"`` if it is the dataset
            ``clean``, else ``"all"``.
        preset: ``"quick"``, three networks, seven defenses and one seed, or ``"full"``, everything with three seeds.
        exploiters, defenses, seeds: what is trained instead of the preset's; names as in `monai-umed list`.
        size: grid that exploiters train on, in pixels; by default what the test cases suggest.
        network_size: ``"small"`` or ``"paper"``.
        recipe: ``"fast"``, 15 epochs, or ``"paper"``, 150 epochs with a tenth of the learning rate.
        epochs, learning_rate, batch_size: instead of the recipe's.
        amp: whether to compute in bfloat16 where that is safe.
        foreign: other public images that exploiters bring along. Default: the phantom.
        num_classes: classes of the masks, background included; by default as many as the test masks show.
        window: displayed intensities of black and white, two numbers or the name of a CT window.
        slice_axis: cut volumes into slices across this axis, for networks that see images.
        device: where to train. Default: a graphics card, if there is one.
        workers: trainings at the same time.
        progress: whether to show progress bars.

    Returns:
        What ``scores.json`` holds; None if trainings on other machines are still missing.

    Raises:
        DatasetError: if the folders do not fit each other.
        ValueError: if a name is unknown, a number out of range, or the output folder belongs to another audit.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=12, num_test=10)
        >>> release = mu.protect(data, work / "out", preset="stamp", progress=False)
        Protected 12 cases ...
        >>> quick = {"exploiters": ["unet-batch"], "defenses": ["none"], "epochs": 1, "size": (32, 32), "workers": 1}
        >>> scores = mu.audit(work / "out", work / "audit", clean=data, test=data, progress=False, **quick)
        Trainings to run: 5, 1 at a time...
        >>> (work / "audit" / "report.html").is_file(), len(scores.rows)
        (True, 1)
    """
    from ..data.fingerprint import inspect_dataset
    from ..evaluation.audit.plan import Audit
    from ..evaluation.audit.plan import preset as choose_preset
    from ..evaluation.audit.run import run_audit
    from ..exploiters.train import RECIPES
    from ..training.devices import usual_device

    if recipe not in RECIPES:
        raise ValueError(f"recipe is {recipe!r}; it must be one of {', '.join(RECIPES)}.")
    usual, training = choose_preset(preset), dict(RECIPES[recipe])
    given = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
    training |= {name: value for name, value in given.items() if value is not None}
    protected = find_protected(release).resolve()
    ignore_label = _ignore_label(protected)
    originals, tests = _absolute(clean, labels, ignore_label), _absolute(test, test_labels, ignore_label)
    section: Section = test_section or ("test" if tests == originals else "all")
    facts = inspect_dataset(tests, section, slice_axis)
    plan = Audit(
        as_dataset(protected, ignore_label=ignore_label),
        originals,
        test_dir=tests,
        test_section=section,
        size=tuple(size or facts.size),
        exploiters=tuple(exploiters or usual["exploiters"]),
        defenses=tuple(defenses or usual["defenses"]),
        seeds=tuple(usual["seeds"] if seeds is None else seeds),
        network_size=network_size,
        num_classes=num_classes or facts.num_classes,
        window=as_window(window),
        foreign_dir=None if foreign is None else str(foreign),
        recipe={**training, "amp": amp},
        device=str(usual_device() if device is None else device),
        slice_axis=slice_axis,
    )
    folder = output or usual_audit(bundle_root=bundle_root(), release=str(protected))
    return run_audit(plan, folder, workers=workers, progress=progress)
