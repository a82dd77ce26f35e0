"""Write what a model is to be asked that may have been trained on a release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.cases import find_cases
from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir, as_dataset, places_of
from ..data.windows import GivenWindow, as_window
from ..sealing.keys import read_key
from .reserve import OWNERS
from .undo import find_protected

if TYPE_CHECKING:
    from ..data.manifest import Quarantined
    from ..evaluation.proof.query_files import Released


@dataclass(frozen=True)
class Asked:
    """What :func:`queries` has written.

    Attributes:
        images: the folder for whoever runs the model.
        count: images in it.
        test: number of this set of queries under the reserve.
        left_out: cases that could not be used, with reasons.
        by_key: whether the key is tested, too; if not, the release has no pattern of this key.
        least_p_by_key: of tints, whose key has few choices: below this a test of the key, which is not made, could not
            fall.
    """

    images: Path
    count: int
    test: int
    left_out: tuple[Quarantined, ...]
    by_key: bool
    least_p_by_key: float | None


def queries(
    release: str | Path,
    output: str | Path,
    *,
    key: str | Path,
    original: DatasetDir | None = None,
    labels: str | Path | None = None,
    checkpoint: str | Path | None = None,
    hardness: str | Path | None = None,
    intensity_window: GivenWindow | None = None,
    max_queries: int = 2000,
    clean: bool = True,
    progress: bool = True,
) -> Asked:
    """Write the images that a suspect model is to be asked about, without names and in no order.

    Args:
        release: what :func:`monai_umed.protect` wrote with ``reserve``.
        output: new folder: ``images`` goes to whoever runs the model, ``plan.sealed`` stays.
        key: the file that the reserve was drawn with.
        original: the dataset that was protected. Default: where the fit found it.
        labels: folder of the labels, if ``original`` holds images alone.
        checkpoint: the fitted protector. Default: that of the release.
        hardness: CSV file with lines ``case,dice``: what models of the owner reach on each case without having seen it.
        intensity_window: displayed intensities of black and white, if the release was made with some.
        max_queries: most images to write.
        clean: whether unprotected images are among them, which tell more; whoever runs the model then has them.
        progress: whether to show progress bars.

    Raises:
        DatasetError: If the release, the originals or the output folder cannot be used.
        KeyFileError: If the key cannot be used.
        ProofError: If there is no reserve of this key, or there are too few queries.

    Example:
        >>> data, key = mu.write_phantom(work / "data", num_train=20, num_test=2), mu.new_key(work / "owner.key")
        >>> drawn = mu.protect(data, work / "out", preset="stamp", reserve=0.3, proof_key=key, progress=False)
        Protected 14 cases ...
        >>> asked = mu.queries(work / "out", work / "ask", key=key, progress=False)
        >>> asked.count, asked.by_key
        (40, False)
    """
    from ..evaluation.proof.log import append_log, read_log
    from ..evaluation.proof.queries import write_queries
    from ..evaluation.proof.reserve import Reserve
    from ..evaluation.proof.tiles import least_p_of_few
    from ..sealing.sealed_json import ProofError

    protected = find_protected(release)
    folder, output = protected.resolve().parent / OWNERS, Path(output)
    secret = read_key(key)
    drawn = Reserve.load(folder, secret)
    if Manifest.load(protected / MANIFEST).commitment_sha256 != drawn.commitment:
        cure = "protect again with --reserve, or bring the folder proof of this release back"
        raise ProofError(f"{protected / MANIFEST}: commits to another reserve than {folder}, or to none; {cure}")
    number = len(read_log(folder, secret)) + 1
    released, fitted_to = _released(protected, checkpoint, key, intensity_window)
    dataset = fitted_to if original is None else as_dataset(str(original), labels) if labels else original
    cases = {case.id: case for case in find_cases(as_dataset(*places_of(dataset), ignore_label=_void(protected)))}
    table = None
    if hardness is not None:
        from ..evaluation.proof.hardness import read_hardness

        table = read_hardness(hardness, list(drawn.groups))
    plan, left_out = write_queries(
        released,
        cases,
        drawn,
        secret,
        output,
        number=number,
        max_queries=max_queries,
        clean=clean,
        hardness=table,
        progress=progress,
    )
    append_log(folder, secret, what="queries", commitment=drawn.commitment, queries=len(plan.queries))
    least_p = least_p_of_few(released.protector)
    return Asked(output / "images", len(plan.queries), number, tuple(left_out), plan.pattern is not None, least_p)


def _void(protected: Path) -> int | None:
    return Manifest.load(protected / MANIFEST).ignore_label


def _released(
    protected: Path, checkpoint: str | Path | None, key: str | Path, intensity_window: GivenWindow | None
) -> tuple[Released, DatasetDir]:
    """What was published, and the dataset that its protector was fitted to."""
    from ..evaluation.proof.query_files import Released
    from ..evaluation.proof.tiles import pattern_of
    from ..protectors.checkpoint import find_checkpoint, load_protector, read_record
    from ..sealing.sealed_json import ProofError

    made = find_checkpoint(protected.resolve().parent) if checkpoint is None else Path(checkpoint)
    if not made.is_file():
        raise ProofError(f"{made}: no such file; pass the checkpoint that the release was made with")
    protector, record = load_protector(made), read_record(made)
    if not {"dataset_dir", "num_classes"} <= record.keys():
        raise ProofError(f"{made}: does not tell what it was fitted to; pass the --checkpoint of `monai-umed fit`")
    manifest = Manifest.load(protected / MANIFEST)
    given = as_window(intensity_window) or as_window(record.get("intensity_window", record.get("window")))
    released = Released(
        folder=protected,
        records={case.id: case for case in manifest.cases},
        protector=protector,
        num_classes=record["num_classes"],
        intensity_window=given,
        pattern=pattern_of(protector, record.get("key"), key),
    )
    return released, as_dataset(record["dataset_dir"], record.get("labels_dir"))
