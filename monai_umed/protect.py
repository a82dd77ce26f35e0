"""Write a protected copy of a dataset: exact files, checked against the promise, and a manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean

import torch

from .data import (
    Case,
    CaseError,
    CaseRecord,
    DatasetError,
    Manifest,
    add_delta,
    load_case,
    measure,
    output_name,
    sha256_path,
    write_image,
)
from .data.atomic import leftovers, remove, write_atomically
from .data.listing import visible
from .protectors import UMed
from .training_set import map_cases

MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"  # marks a folder as ours while it has no manifest yet


def tool_version() -> str:
    """Version of the installed package, ``"unknown"`` when it runs from a folder that was never installed."""
    try:
        return version("monai_umed")
    except PackageNotFoundError:
        return "unknown"


def protected_names(case: Case) -> tuple[str, str]:
    """Where the image and the mask of a case go, relative to the protected folder: names and layout are mirrored."""
    images, masks = ("imagesTr", "labelsTr") if case.image.parent.name == "imagesTr" else ("images", "masks")
    return f"{images}/{output_name(case.image)}", f"{masks}/{case.label.name}"


def _protected_files(case: Case) -> list[str]:
    """Files that a case is written to: as `protected_names`, but for a series its slices, named as in the source."""
    image, label = protected_names(case)
    return [*(f"{image}/{path.name}" for path in visible(case.image)), label] if case.image.is_dir() else [image, label]


def protect_case(
    case: Case, protector: UMed, output_dir: Path, num_classes: int = 2, window: tuple[float, float] | None = None
) -> CaseRecord:
    """Protect one case at its native size and describe what was written.

    The image is written all at once or not at all; the mask is copied byte for byte. Figures are taken from the
    stored grey levels, not from the tensors before rounding.

    Raises:
        CaseError: if the case cannot be used; nothing is written then.
    """
    loaded = load_case(case, num_classes, window)
    stored = loaded.stored
    image, label = torch.from_numpy(stored.scaled()), torch.from_numpy(loaded.label)
    try:
        delta, bound = protector(image, label, stored.spacing, stored.levels)
    except ValueError as error:
        raise CaseError(case.id, str(error)) from error
    protected = add_delta(stored, delta.numpy(), bound.numpy())
    fidelity = measure(stored.color, protected[: len(stored.color)], stored.width)
    image_name, label_name = protected_names(case)
    write_image(output_dir / image_name, protected, stored)
    write_atomically(output_dir / label_name, case.label.read_bytes())
    notes = []
    if output_name(case.image) != case.image.name:
        notes.append("lossy input was written as PNG")
    if fidelity.max_abs_delta == 0:
        notes.append("nothing changed: every bound is below one grey level")
    return CaseRecord(
        id=case.id,
        image=image_name,
        label=label_name,
        source=case.image.name,
        sha256_before=sha256_path(case.image),
        sha256_after=sha256_path(output_dir / image_name),
        label_sha256=sha256_path(output_dir / label_name),
        shape=protected.shape,
        dtype=str(protected.dtype),
        window=stored.window,
        max_abs_delta=fidelity.max_abs_delta,
        psnr=fidelity.psnr,
        ssim=fidelity.ssim,
        perturbed_fraction=fidelity.perturbed_fraction,
        note="; ".join(notes) or None,
    )


def _check_folders(cases: Sequence[Case], output_dir: Path) -> None:
    """Refuse an output folder that overlaps with the input or holds files of another origin."""
    target = output_dir.resolve()
    sources = {path.resolve().parent for case in cases for path in (case.image, case.label)}
    roots = sources | {source.parent for source in sources}
    overlaps = (source == target or target in source.parents or source in target.parents for source in sources)
    if any(overlaps) or target in roots:
        raise DatasetError(
            str(output_dir),
            [f"{output_dir}: the output folder overlaps with the input images; choose a folder outside of them"],
        )
    names = [name for case in cases for name in protected_names(case)]
    doubles = [name for name, count in Counter(names).items() if count > 1]
    if doubles:
        raise DatasetError(
            str(output_dir), [f"{name}: two cases would be written to it; rename one" for name in doubles]
        )
    if output_dir.is_dir():
        expected = {MANIFEST, UNFINISHED, *(name for case in cases for name in _protected_files(case))}
        found = {path.relative_to(output_dir).as_posix() for path in output_dir.rglob("*") if path.is_file()}
        # Hidden temporary files and folders are left when a write is killed; they are nobody's data.
        killed = {path.relative_to(output_dir) for path in leftovers(output_dir)}
        foreign = sorted(name for name in found - expected if not killed & {Path(name), *Path(name).parents})
        # Equal names alone prove nothing: the folder may be another copy of the originals.
        if not foreign and found and not found & {MANIFEST, UNFINISHED}:
            foreign = sorted(found)
        if foreign:
            raise DatasetError(
                str(output_dir),
                [f"{name}: not written by this program for this dataset; choose an empty folder" for name in foreign],
            )


def protect_dataset(
    cases: Sequence[Case],
    protector: UMed,
    output_dir: str | Path,
    seed: int = 0,
    num_classes: int = 2,
    window: tuple[float, float] | None = None,
    num_workers: int = 2,
    progress: bool = True,
) -> Manifest:
    """Protect all cases into a folder of the same layout with a ``manifest.json``.

    The manifest is removed first and written last, so a folder without one is unfinished; running again gives the
    same bytes. A folder that holds files but neither a manifest nor the mark of an unfinished run is
    never touched. Cases that cannot be used are listed in the manifest and left out.

    Args:
        cases: what to protect, see :func:`monai_umed.data.find_cases`.
        protector: the fitted protector.
        output_dir: folder to write; made if needed.
        seed: seed of the fit, for the record.
        num_classes: classes of the masks, background included.
        window: intensities that map to 0 and 1, see :func:`monai_umed.data.read_image`.
        num_workers: threads, one case each.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: if the output folder overlaps with the input, holds foreign files, or no case could be used.
    """
    output_dir = Path(output_dir)
    _check_folders(cases, output_dir)
    for folder in {Path(name).parent for case in cases for name in protected_names(case)}:
        (output_dir / folder).mkdir(parents=True, exist_ok=True)
    (output_dir / UNFINISHED).touch()
    # Whatever an earlier run left is written anew, so that no case that turned bad since then stays behind.
    for leftover in [output_dir / MANIFEST, *leftovers(output_dir)]:
        remove(leftover)
    for case in cases:
        for name in protected_names(case):
            remove(output_dir / name)

    def protect(case: Case) -> CaseRecord:
        return protect_case(case, protector, output_dir, num_classes, window)

    records, quarantined = map_cases(protect, cases, f"protect into {output_dir.name}", num_workers, progress)
    if not records:
        (output_dir / UNFINISHED).unlink()
        raise DatasetError(str(output_dir), [f"{entry.id}: {entry.reason}" for entry in quarantined])
    manifest = Manifest(
        tool="monai_umed",
        version=tool_version(),
        protector=repr(protector),
        seed=seed,
        eps=protector.eps,
        cases=records,
        quarantined=quarantined,
    )
    manifest.save(output_dir / MANIFEST)
    (output_dir / UNFINISHED).unlink()
    return manifest


def report(manifest: Manifest, output_dir: str | Path) -> Manifest:
    """Print what was protected, how visible it is, what was left out and why, and where everything lies."""
    psnr = [case.psnr for case in manifest.cases if case.psnr is not None]
    figures = f"PSNR {mean(psnr):.2f} dB, " if psnr else ""
    figures += f"SSIM {mean(case.ssim for case in manifest.cases):.4f}"
    print(f"Protected {len(manifest.cases)} cases ({figures}) into {output_dir}; the record is {MANIFEST} beside them.")
    if manifest.quarantined:
        print(f"Left out {len(manifest.quarantined)}, which were not written:")
        for entry in manifest.quarantined:
            print(f"  {entry.id}: {entry.reason}")
    return manifest
