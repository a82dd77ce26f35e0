"""Hold cases back before a release, so that training on the rest can be proven."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.cases import Section, find_cases
from ..data.two_folders import DatasetDir, as_dataset
from ..sealing.keys import check_unpublished, read_key

if TYPE_CHECKING:
    from ..evaluation.proof.reserve import Reserve

OWNERS = "proof"
"""Folder in the output of :func:`monai_umed.protect` that must never be published: what was held back, and the log."""


@dataclass(frozen=True)
class HeldBack:
    """What :func:`reserve` has drawn.

    Attributes:
        folder: where it is sealed, beside what will be published; keep it to yourself.
        held_back: ids of cases that must never be published.
        published: ids of the others.
        commitment: checksum of the choice, for the manifest.
        smallest_difference: between the mean Dice of both sides, in standard deviations of one case, that gives
            p = .001 in half of all draws.
    """

    folder: Path
    held_back: tuple[str, ...]
    published: tuple[str, ...]
    commitment: str
    smallest_difference: float


def reserve(
    data: DatasetDir,
    output: str | Path,
    *,
    key: str | Path,
    labels: str | Path | None = None,
    fraction: float = 0.2,
    groups: str | Path | None = None,
    section: Section = "all",
    progress: bool = True,
) -> HeldBack:
    """Draw cases that a release will leave out, so that its use can be proven later.

    The key decides which, by whole groups. :func:`monai_umed.protect` with ``reserve`` does this, too, and then
    protects the rest; drawn once, it stays.

    Args:
        data: folder of the dataset, a data list, or the images alone; see :func:`monai_umed.find_cases`.
        output: folder of the release to be.
        key: file of :func:`monai_umed.new_key`; one of its own, since whoever checks the proof gets it.
        labels: folder of the labels, if ``data`` holds images alone.
        fraction: of the cases to hold back, 0.02 to 0.5.
        groups: CSV file with lines ``case,group`` of cases that belong together, such as those of one patient. Default:
            images that nearly occur twice are found and kept together.
        section: what will be protected.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: If the dataset is malformed, or groups leave near-duplicates on both sides; names them.
        KeyFileError: If the key cannot be used, or lies in what would be published.
        ProofError: If there are too few cases, or another reserve was drawn before.
        ValueError: If ``fraction`` is out of range.

    Example:
        >>> data, key = mu.write_phantom(work / "data", num_train=20, num_test=2), mu.new_key(work / "owner.key")
        >>> drawn = mu.reserve(data, work / "out", key=key, fraction=0.3, section="train", progress=False)
        >>> len(drawn.held_back), len(drawn.published)
        (6, 14)
    """
    from ..evaluation.proof.groups import check_leaks, join, near_duplicates, read_groups
    from ..evaluation.proof.reserve import RESERVE, Reserve, draw_reserve
    from ..sealing.sealed_json import ProofError

    folder = Path(output) / OWNERS
    check_unpublished(key, [Path(output) / "protected"])
    secret = read_key(key)
    dataset = data if labels is None else as_dataset(str(data), labels)
    cases = find_cases(dataset, section)
    ids = [case.id for case in cases]
    if (folder / RESERVE).is_file():
        drawn = Reserve.load(folder, secret)
        if set(drawn.groups) != set(ids) or drawn.fraction != fraction:
            cure = "pass the same dataset, section and fraction, or choose another folder"
            raise ProofError(f"{folder / RESERVE}: drawn from other cases, or another fraction of them; {cure}")
        return _held_back(folder, drawn)
    pairs = near_duplicates(cases, progress)
    if groups is None:
        drawn = draw_reserve(join({id: id for id in ids}, pairs), fraction, secret)
    else:
        drawn = draw_reserve(read_groups(groups, ids), fraction, secret)
        check_leaks(drawn.groups, drawn.held_back, pairs)
    drawn.save(folder, secret)
    return _held_back(folder, drawn)


def _held_back(folder: Path, drawn: Reserve) -> HeldBack:
    from ..evaluation.proof.reserve import smallest_difference

    published = tuple(sorted(set(drawn.groups) - set(drawn.held_back)))
    smallest = smallest_difference(len(published), len(drawn.held_back))
    return HeldBack(folder, drawn.held_back, published, drawn.commitment, smallest)
