"""Find out which protection a dataset can have, before anything is published."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.case import Case, DatasetError
from ..data.cases import find_cases
from ..data.two_folders import DatasetDir, as_dataset, places_of
from ..data.windows import GivenWindow, as_window
from ..io.bundle_folder import bundle_root, outputs_root
from ..io.suggest import did_you_mean
from .options import config_of

if TYPE_CHECKING:
    from ..evaluation.advice.record import Advice, Setting
    from ..evaluation.advice.search import Search

EPOCHS = 15
FEWEST, MOST = 20, 600
"""Training cases below which there is nothing to test on, and of which no more are looked at."""


def usual_advice(data: DatasetDir) -> Path:
    """Where advice about a dataset lies unless it was told another place."""
    return Path(outputs_root(bundle_root())) / "advice" / Path(places_of(data)[0]).resolve().name


def names_of(data: DatasetDir) -> str:
    """Digest of the names of the training section, which tells advice about other cases from advice about these."""
    names = "\n".join(case.id for case in find_cases(data, "train"))
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()


def advise(
    data: DatasetDir,
    output: str | Path | None = None,
    *,
    labels: str | Path | None = None,
    target: float = 0.5,
    min_psnr: float = 40.0,
    accept: Sequence[str] = (),
    levels: Sequence[int] | None = None,
    seed: int = 0,
    epochs: int = EPOCHS,
    grid: Sequence[int] | None = None,
    ignore_label: int | None = None,
    intensity_window: GivenWindow | None = None,
    slice_axis: int | None = None,
    device: str | None = None,
    cache: bool = True,
    progress: bool = True,
) -> Advice:
    """Try settings on a part of the training section and name the least visible one that holds.

    Each is tried against exploiters that cost nothing: networks that just train, flips with affine maps, crops, a blur,
    JPEG; where images have colors, a conversion to gray and a jitter of colors as well. The test section is never read.
    Interrupted, it goes on where it stopped; another target, PSNR or list of accepted exploiters takes up what was
    trained.

    Args:
        data: folder of the dataset, a data list, or the images alone; see :func:`monai_umed.find_cases`.
        output: folder of this advice, which will hold links to originals. Default: a folder below the bundle's outputs.
        labels: folder of the labels, if ``data`` holds images alone.
        target: largest share, between 0 and 1, of what clean files teach that an exploiter may learn.
        min_psnr: dB that files must have.
        accept: defenses that may win, such as ``"blur-2.0"``; those who use them are not tried.
        levels: largest changes to try, in 1/255 of the intensity window, in order. Default: 4, 6, 8, 12.
        seed: of the held-out part and of everything that is drawn.
        epochs: of each exploiter.
        grid: grid that exploiters train on, in pixels; by default as in an audit.
        ignore_label: value of the masks that is no class, often 255.
        intensity_window: displayed intensities of black and white, two numbers or the name of a CT window.
        slice_axis: cut volumes into slices across this axis, for networks that see images.
        device: where to train. Default: a graphics card, if there is one.
        cache: whether trainings on clean files that earlier runs on this machine have done are used, see
            :func:`monai_umed.io.user_cache.user_cache`.
        progress: whether to show progress bars.

    Returns:
        What ``advice.json`` holds.

    Raises:
        DatasetError: If the dataset is malformed, protected already, has fewer than 20 training cases, or a class is
            missing in the held-out part.
        ValueError: If an argument is out of range, or the output folder belongs to other advice.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=24, num_test=2)
        >>> quick = {"epochs": 1, "grid": (32, 32), "levels": [4], "progress": False}
        >>> advice = mu.advise(data, work / "advice", accept=["none", "blur-2.0", "random-crop", "jpeg-30"], **quick)
        Trainings to run: ...
        >>> advice.held_out, advice.chosen
        (12, None)
    """
    from ..evaluation.advice import search
    from ..evaluation.advice.report import build_advice, show
    from ..release.already_protected import refuse_protected_folder

    if not 0 < target < 1:
        raise ValueError(f"target is {target}; it must be above 0 and below 1, the share of the clean files' Dice.")
    if min_psnr <= 0:
        raise ValueError(f"min_psnr is {min_psnr}; it must be positive, for example 40 dB.")
    known = list(dict.fromkeys(defense for _, defense in search.EXPLOITERS + search.COLOR_EXPLOITERS))
    for name in accept:
        if name not in known:
            raise ValueError(f"accept has {name!r}, which nobody uses.{did_you_mean(name, known)} Known: {known}.")
    if not search.choose_exploiters(1, accept):
        raise ValueError("accept names every exploiter that gray images have; leave one of them to be tried.")
    dataset = as_dataset(*(places_of(data) if labels is None else (str(data), labels)), ignore_label=ignore_label)
    refuse_protected_folder(Path(places_of(dataset)[0]))
    given = {"seed": seed, "intensity_window": intensity_window, "slice_axis": slice_axis, "device": device}
    plan = _plan(
        dataset,
        Path(output) if output is not None else usual_advice(dataset),
        options={**given, "ignore_label": ignore_label, "progress": progress},
        accept=accept,
        target=target,
        min_psnr=min_psnr,
        levels=tuple(levels or search.LEVELS),
        epochs=epochs,
        grid=grid,
        cache=cache,
    )
    advice = build_advice(plan, plan.climb(), cases=names_of(dataset))
    advice.write(plan.folder)
    print(show(advice, plan))
    return advice


def _plan(
    dataset: DatasetDir,
    folder: Path,
    *,
    options: Mapping[str, Any],
    accept: Sequence[str],
    target: float,
    min_psnr: float,
    levels: tuple[int, ...],
    epochs: int,
    grid: Sequence[int] | None,
    cache: bool,
) -> Search:
    """Split the training section and settle everything that trials share."""
    from ..data.fingerprint import inspect_dataset
    from ..data.training_set import load_training_set
    from ..data.workspace import lay_out
    from ..evaluation.advice.fold import hold_out
    from ..evaluation.advice.search import Search, choose_exploiters, make_ladder
    from ..evaluation.plan import Matrix
    from ..exploiters.train import RECIPES
    from ..io.atomic import write_json
    from ..io.run_folder import claim_output
    from ..io.user_cache import user_cache
    from ..training.devices import usual_device

    cases = _choose(find_cases(dataset, "train"), dataset)
    decides = {name: value for name, value in options.items() if name not in ("device", "progress")}
    claim_output(folder, {**decides, "epochs": epochs, "grid": grid, "files": _digest(cases)})
    lay_out(cases, folder / "data")
    fold = as_dataset(folder / "data", ignore_label=options["ignore_label"])
    facts = inspect_dataset(fold, slice_axis=options["slice_axis"])
    window, progress = as_window(options["intensity_window"]), bool(options["progress"])
    items = load_training_set(
        fold,
        (64, 64, 64) if facts.volumes else (128, 128),
        num_classes=facts.num_classes,
        intensity_window=window,
        progress=progress,
        layout="resampled",
    ).items
    held_out = hold_out(items, num_classes=facts.num_classes, seed=options["seed"])
    exploiters = choose_exploiters(facts.in_channels, accept)
    rest = sorted({item["id"] for item in items} - set(held_out))
    write_json(folder / "data" / "split.json", {"train": rest, "test": held_out})
    return Search(
        ladder=make_ladder(facts.in_channels, levels),
        make=lambda setting: _make(setting, fold, folder / "settings" / setting.name, options),
        matrix=Matrix(
            exploiters=tuple(network for network, _ in exploiters),
            defenses=tuple(defense for _, defense in exploiters),
            seeds=(options["seed"],),
            recipe={**RECIPES["fast"], "epochs": epochs},
            device=str(options["device"] or usual_device()),
        ),
        exploiters=exploiters,
        fold=fold,
        grid=tuple(grid or facts.grid),
        num_classes=facts.num_classes,
        intensity_window=window,
        slice_axis=options["slice_axis"],
        folder=folder,
        target=target,
        min_psnr=min_psnr,
        cache=user_cache() if cache else None,
        as_released=lambda place: as_dataset(place, ignore_label=options["ignore_label"]),
        progress=progress,
    )


def _choose(cases: Sequence[Case], dataset: DatasetDir) -> list[Case]:
    """All training cases, or of a large dataset some that their names choose: more of them would take hours."""
    if len(cases) < FEWEST:
        raise DatasetError(
            str(dataset),
            [f"{len(cases)} training cases, at least {FEWEST} are needed to hold some out; add more, or audit"],
        )
    order = sorted(cases, key=lambda case: hashlib.sha256(case.id.encode("utf-8", "surrogateescape")).digest())
    return sorted(order[:MOST], key=lambda case: case.id)


def _digest(cases: Sequence[Case]) -> str:
    from ..io.checksum import sha256_path
    from ..io.image_files import is_complete

    digest = hashlib.sha256()
    for case in cases:
        # A case that lacks the file of a channel is left out by name when it is read.
        sums = (sha256_path(path) if is_complete(path) else "incomplete" for path in (case.image, case.label))
        digest.update(f"{case.id} {' '.join(sums)}\n".encode(errors="replace"))
    return digest.hexdigest()


def _make(setting: Setting, fold: DatasetDir, folder: Path, options: Mapping[str, Any]) -> Path:
    """Protect the training part as `protect` would; what an earlier run finished is kept."""
    from ..data.manifest import MANIFEST
    from ..evaluation.bundle_fit import fit_by_config
    from .fit import PROTECTED

    if not (folder / PROTECTED / MANIFEST).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        overlays, ids = config_of({**options, **setting.options})  # type: ignore[typeddict-item]
        places = {"dataset_dir": places_of(fold)[0], "output_dir": str(folder), "section": "train"}
        fit_by_config({**places, **ids, "quick_check": False}, folder / "log.txt", overlays=overlays)
    return folder / PROTECTED
