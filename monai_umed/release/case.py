"""Protect one case: write its files, and tell later whether they are still the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from ..data.case import Case, CaseError
from ..data.codec import write_image
from ..data.loading import LoadedCase, load_case
from ..data.manifest import CaseRecord
from ..io.atomic import remove
from ..io.checksum import sha256_file, sha256_path
from ..io.content import read_content, write_content
from ..io.fidelity import Fidelity, compare_each, mean_fidelity
from ..io.image_files import files_of, is_complete
from ..io.joint_path import joint_files
from ..io.quantize import add_delta
from ..io.stored import IntensityWindow, StoredImage
from ..io.suffixes import output_name
from ..protectors import Protector
from ..protectors.arrival import check_arrival
from ..protectors.channels import in_channels_of, perturb_as_known
from ..protectors.extent import looked_at
from ..protectors.perturbation import Perturbation
from .layout import protected_names


def protect_case(
    case: Case,
    protector: Protector,
    output_dir: Path,
    *,
    num_classes: int = 2,
    intensity_window: IntensityWindow | None = None,
) -> CaseRecord:
    """Protect one case at its native size and describe what was written.

    The image is written all at once or not at all; the mask is copied byte for byte. Figures are taken from the
    stored grey levels, not from the tensors before rounding.

    Raises:
        CaseError: If the case cannot be used, or less than half of the perturbation arrives in its file, see
            :func:`monai_umed.protectors.arrival.check_arrival`; nothing is written then.
    """
    loaded = load_case(case, num_classes, intensity_window)
    stored = loaded.stored
    try:
        protected, fidelities, made, channels = _perturb(loaded, protector)
    except ValueError as error:
        raise CaseError(case.id, str(error)) from error
    image_name, label_name = protected_names(case)
    fidelity = mean_fidelity(fidelities)
    write_image(output_dir / image_name, protected, stored)
    write_content(output_dir / label_name, read_content(case.label))
    notes = []
    if channels != len(stored.color):
        notes.append(f"protected as an image of {channels} channel(s), as the protector was fitted")
    if output_name(case.image) != case.image.name:
        notes.append("lossy input was written as PNG")
    if stored.format == "dicom_series" and stored.grid is None:
        notes.append("its slices do not tell where they lie and were taken in the order of their Instance Number")
    if fidelity.psnr is None:
        notes.append("nothing changed, as is meant with this control")
    return CaseRecord(
        id=case.id,
        image=image_name,
        label=label_name,
        source=case.image.name,
        sha256_before=sha256_path(case.image),
        sha256_after=sha256_path(output_dir / image_name),
        label_sha256=sha256_path(output_dir / label_name),
        shape=protected.shape,
        dtype=stored.dtype,
        intensity_window=stored.intensity_window,
        max_abs_delta=fidelity.max_abs_delta,
        psnr=fidelity.psnr,
        ssim=fidelity.ssim,
        perturbed_fraction=fidelity.perturbed_fraction,
        note="; ".join(notes) or None,
        channel_sha256=channel_checksums(output_dir / image_name),
        noise_rms=made if len(made) > 1 else made[0],
        ciede2000=fidelity.ciede2000,
    )


def _perturb(loaded: LoadedCase, protector: Protector) -> tuple[np.ndarray, list[Fidelity], tuple[float, ...], int]:
    """Protect stored values; what takes most of the memory is gone when this returns.

    Returns:
        Protected stored values, the fidelity of each channel with a window of its own, root mean squares of what was
        to change in each, and the number of channels that the protector saw.

    Raises:
        ValueError: As the protector, or :func:`_check_each`.
    """
    stored, case, label = loaded.stored, loaded.case, torch.from_numpy(loaded.label)
    image = torch.from_numpy(stored.scaled_within(looked_at(protector, label, stored.spacing)))
    perturbation = perturb_as_known(
        protector, image, label, spacing=stored.spacing, levels=stored.levels, case_id=case.id
    ).kept_from(loaded.outside)
    protected = add_delta(stored, perturbation.delta.numpy(), perturbation.bound.numpy())
    seen = in_channels_of(image, protector)
    fidelities = compare_each(stored, stored.with_values(protected))
    made = _check_each(
        protector, seen, label, perturbation=perturbation, stored=stored, fidelities=fidelities, case=case
    )
    return protected, fidelities, made, len(seen)


def channel_checksums(path: Path) -> tuple[str, ...] | None:
    """Return the SHA-256 of each file of an image whose channels have their own files; None for other images."""
    files = joint_files(path)
    return None if files is None else tuple(map(sha256_file, files.values()))


def _check_each(
    protector: Protector,
    image: torch.Tensor,
    label: torch.Tensor,
    *,
    perturbation: Perturbation,
    stored: StoredImage,
    fidelities: Sequence[Fidelity],
    case: Case,
) -> tuple[float, ...]:
    """Refuse a case if too little arrives in it or, if its channels have their own windows, in one of them.

    Raises:
        ValueError: As :func:`monai_umed.protectors.arrival.check_arrival`.
    """
    channels, made = stored.each(), []
    for number, (channel, fidelity) in enumerate(zip(channels, fidelities, strict=True)):
        try:
            made.append(
                check_arrival(
                    protector,
                    image,
                    label,
                    perturbation=perturbation if len(channels) == 1 else perturbation.of_channel(number),
                    change=fidelity.rms,
                    spacing=channel.spacing,
                    levels=channel.levels,
                    case_id=case.id,
                )
            )
        except ValueError as error:
            raise ValueError(f"channel {number}: {error}" if len(channels) > 1 else str(error)) from error
    return tuple(made)


def is_finished(record: CaseRecord, case: Case, output_dir: Path) -> bool:
    """Whether the files on both sides are still those that the record describes."""
    image_name, label_name = protected_names(case)
    if (record.image, record.label, record.source) != (image_name, label_name, case.image.name):
        return False
    expected = {
        output_dir / image_name: record.sha256_after,
        output_dir / label_name: record.label_sha256,
        case.image: record.sha256_before,
        case.label: record.label_sha256,
    }
    return all(is_complete(path) and sha256_path(path) == sha256 for path, sha256 in expected.items())


def clear_cases(cases: Iterable[Case], output_dir: Path) -> None:
    """Remove whatever was written of the cases, whole or in part."""
    for case in cases:
        for name in protected_names(case):
            path = output_dir / name
            for file in (*files_of(path), path):
                remove(file)
