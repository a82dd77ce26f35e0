"""The record of a protected dataset: what was done to which file, with checksums, as byte-reproducible JSON."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from ..io.atomic import write_atomically
from ..io.joint_path import first_file
from ..io.json_fields import FieldError, parse_fields
from ..io.stored import IntensityWindow

TOOL = "monai_umed"
"""Name of the program, as manifests give it."""

MANIFEST = "manifest.json"
"""Name of the file in a protected folder."""

UNFINISHED = ".unfinished"
"""Marks a folder as ours while it has no manifest yet, and lists the finished cases."""

FORMAT_VERSION = 3
"""Version of the manifest's layout; raised when a reader of the old one would go wrong.

The second names the checksum of a ``dataset.json``, the third what was to change in each case, and windows of channels.
"""


class ManifestError(ValueError):
    """A manifest cannot be used; the message names the field, the reason and the cure."""


@dataclass(frozen=True)
class CaseRecord:
    """What was done to one case.

    Attributes:
        id: id of the case.
        image: protected image relative to the dataset's folder, with ``/``: a file, the ``.img`` file of a NIfTI
            pair, a folder of slices, or the files of several channels (``x_{0000,0001}.nii.gz``).
        label: label, relative to the dataset's folder, with ``/``; of several masks as of several channels.
        source: name of the original image file or folder.
        sha256_before: checksum of the original image, see `sha256_path` for one of several files.
        sha256_after: checksum of the protected image.
        label_sha256: checksum of the label.
        shape: ``(C, *spatial)`` of the stored array.
        dtype: NumPy name of the stored type, for example ``"uint8"``, or of each channel's if they differ.
        intensity_window: stored values that map to 0 and 1, of all channels or of each.
        max_abs_delta: largest change in stored units (gray levels), of all channels or of each.
        psnr: in dB; None if the image did not change.
        ssim: structural similarity.
        perturbed_fraction: share of the stored values that changed, in [0, 1].
        channel_sha256: checksum of each file of the protected image, if its channels have files of their own.
        note: anything the owner must know, for example that JPEG input was written as PNG.
        noise_rms: root mean square of what was to change, in window units, of each channel if they have windows of
            their own; None in releases of earlier versions.
        ciede2000: mean difference of color of RGB images; None for others, and in older manifests.
    """

    id: str
    image: str
    label: str
    source: str
    sha256_before: str
    sha256_after: str
    label_sha256: str
    shape: tuple[int, ...]
    dtype: str | tuple[str, ...]
    intensity_window: IntensityWindow
    max_abs_delta: int | float | tuple[int | float, ...]
    psnr: float | None
    ssim: float
    perturbed_fraction: float
    note: str | None = None
    channel_sha256: tuple[str, ...] | None = None
    noise_rms: float | tuple[float, ...] | None = None
    ciede2000: float | None = None

    def entry(self) -> dict[str, Any]:
        """Return its fields as the file has them, which calls the intensity window ``window``."""
        if_given = ("channel_sha256", "ciede2000", "noise_rms")
        fields = {"window" if name == "intensity_window" else name: value for name, value in vars(self).items()}
        return {name: value for name, value in fields.items() if name not in if_given or value is not None}


@dataclass(frozen=True)
class Quarantined:
    """A case that was left out.

    Attributes:
        id: id of the case.
        reason: why, and the cure.
    """

    id: str
    reason: str


@dataclass
class Manifest:
    """The record of a protected dataset. It holds no time and no machine, so equal runs give equal files.

    Attributes:
        tool: name of the program.
        version: version of the program.
        protector: ``repr`` of the protector.
        seed: seed of the run.
        eps: budget in window units, in (0, 1].
        cases: one record per protected case.
        quarantined: cases that were left out.
        dataset_json_sha256: checksum of the ``dataset.json`` in the folder; None if there is none.
        ignore_label: value of the labels that is no class, whose pixels were left as they are; None if there is none.
        unlabeled: images of the dataset that have no label and were left out; None if there are none.
        advice: what `monai-umed advise` said about the setting; None if it was not asked.
        commitment_sha256: checksum of what was held back, and of how its use will be proven, see
            :mod:`monai_umed.evaluation.proof.reserve`; None without a reserve.
    """

    tool: str
    version: str
    protector: str
    seed: int
    eps: float
    cases: list[CaseRecord] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    dataset_json_sha256: str | None = None
    ignore_label: int | None = None
    unlabeled: int | None = None
    advice: str | None = None
    commitment_sha256: str | None = None

    def save(self, path: str | Path) -> None:
        """Write the manifest, sorted by case id, all at once or not at all.

        Args:
            path: target; its folder must exist.

        Raises:
            ManifestError: If a number is NaN or infinite, which JSON cannot hold.
            OSError: If the file cannot be written.
        """
        content = {"format": FORMAT_VERSION, **vars(self)}
        content["cases"] = [record.entry() for record in sorted(self.cases, key=lambda record: record.id)]
        content["quarantined"] = [vars(case) for case in sorted(self.quarantined, key=lambda case: case.id)]
        if self.dataset_json_sha256 is None:
            del content["dataset_json_sha256"]
        for name in ("ignore_label", "unlabeled", "advice", "commitment_sha256"):
            if content[name] is None:
                del content[name]
        try:
            text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
        except ValueError as error:
            raise ManifestError(f"{Path(path).name}: {error}; measure() gives None instead of infinity") from error
        write_atomically(path, (text + "\n").encode("ascii"))

    @property
    def merges_masks(self) -> bool:
        """Whether several masks of an image were its label together."""
        return any(first_file(record.label) != record.label for record in self.cases)

    def mean_fidelity(self) -> dict[str, float | None]:
        """Mean ``psnr`` in dB, None if no image changed, and mean ``ssim`` of the cases; there must be one."""
        psnr = [case.psnr for case in self.cases if case.psnr is not None]
        return {"psnr": mean(psnr) if psnr else None, "ssim": mean(case.ssim for case in self.cases)}

    def mean_ciede2000(self) -> float | None:
        """Mean difference of color of the cases that have colors; None if there are none."""
        found = [case.ciede2000 for case in self.cases if case.ciede2000 is not None]
        return mean(found) if found else None

    @staticmethod
    def load(path: str | Path) -> "Manifest":
        """Read and check a manifest.

        Args:
            path: file that `save` wrote.

        Returns:
            The manifest; cases and quarantined are sorted by id.

        Raises:
            ManifestError: no manifest, a missing, unknown or wrong field, a newer format, or file names that leave the
                dataset's folder.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ManifestError(f"{path.name}: no readable JSON file ({error}); restore it from a copy") from error
        try:
            return _parse_manifest(content)
        except FieldError as error:
            raise ManifestError(f"{path.name}: {error}") from error


def _parse_manifest(content: Any) -> Manifest:
    if not isinstance(content, dict):
        raise FieldError("the file must hold a JSON object; restore it from a copy")
    version = content.pop("format", None)
    if type(version) is not int or version < 1:
        raise FieldError(f"field 'format' is {version!r}, must be a version number; restore the file from a copy")
    if version > FORMAT_VERSION:
        raise FieldError(f"field 'format' is {version}, this version reads up to {FORMAT_VERSION}; update the package")
    cases = [CaseRecord(**fields) for fields in _parse_list(content, "cases", CaseRecord, window="intensity_window")]
    quarantined = [Quarantined(**fields) for fields in _parse_list(content, "quarantined", Quarantined)]
    _check_names(cases)
    _check_unique(cases)
    header = parse_fields(Manifest, content, "", skip=("cases", "quarantined"))
    return Manifest(**header, cases=cases, quarantined=quarantined)


def _parse_list(content: dict[str, Any], name: str, record_type: type, **names: str) -> list[dict[str, Any]]:
    """Take the list ``name`` out of ``content`` and check its items; ``names`` are those of fields that differ."""
    items = content.pop(name, None)
    if not isinstance(items, list):
        raise FieldError(f"field {name!r} must be a list; restore the file from a copy")
    return [parse_fields(record_type, item, f"{name}[{number}].", names=names) for number, item in enumerate(items)]


def _check_names(cases: list[CaseRecord]) -> None:
    for number, record in enumerate(cases):
        for name in ("id", "image", "label", "source"):
            value = getattr(record, name)
            if "\0" in value or value != value.encode(errors="replace").decode():
                reason = "holds characters that no portable file name holds; restore the file from a copy"
                raise FieldError(f"field 'cases[{number}].{name}' is {value!a}, {reason}")


def _check_unique(cases: list[CaseRecord]) -> None:
    seen: set[str] = set()
    for number, record in enumerate(cases):
        if record.id in seen:
            raise FieldError(f"field 'cases[{number}].id' repeats {record.id!r}; restore the file from a copy")
        seen.add(record.id)
