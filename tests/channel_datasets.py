"""Small datasets whose cases have several channels: files side by side, or a fourth axis of one file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from protected_folder import noise, square, write_array

SHAPE = (36, 32, 20)
AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
# Of each channel, as CT and MR differ: type, range of values, slope and intercept.
SCALES = (
    (np.int16, 2000, 1.0, -1000.0),
    (np.float32, 1, 1.0, 0.0),
    (np.uint8, 256, 0.5, 3.0),
    (np.uint16, 4000, 1.0, 0.0),
)


def write_volume(path: Path, kind: tuple[Any, int, float, float], seed: int = 0, affine: np.ndarray = AFFINE) -> None:
    """A NIfTI file of noise with the type and scale of a channel, and a comment in its header."""
    dtype, high, slope, intercept = kind
    values = noise(SHAPE, 250, seed) / 250 * high
    image = nib.Nifti1Image(values.astype(dtype), affine)
    image.header["descrip"] = f"channel {seed}".encode()
    image.header.set_slope_inter(slope, intercept)
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = path.with_name(path.name.removesuffix(".gz"))
    image.to_filename(raw)
    # nibabel resets the scale of arrays that it is given, so it is put into the file's bytes.
    header = bytearray(raw.read_bytes())
    header[112:120] = np.array([slope, intercept], "<f4").tobytes()
    raw.write_bytes(header)
    if raw != path:
        path.write_bytes(gzip.compress(raw.read_bytes(), 1, mtime=0))
        raw.unlink()


def write_nnunet(root: Path, cases: int = 2, scales: Sequence[Any] = SCALES[:2], ending: str = ".nii.gz") -> None:
    """Volumes as nnU-Net's raw datasets have them, one file per channel."""
    for number in range(cases):
        for channel, kind in enumerate(scales):
            write_volume(root / "imagesTr" / f"br_{number:03}_{channel:04}{ending}", kind, 10 * number + channel)
        label = nib.Nifti1Image(square(SHAPE, 1), AFFINE)
        (root / "labelsTr").mkdir(exist_ok=True)
        label.to_filename(root / "labelsTr" / f"br_{number:03}{ending}")
    _write_list(root, len(scales), cases, ending)


def write_brats(root: Path, channels: Sequence[str], mark: str = "_", cases: int = 2) -> None:
    """Volumes in one folder per case, which are named by the case and what they show."""
    for number in range(cases):
        start = root / f"br_{number:03}" / f"br_{number:03}{mark}"
        for seed, channel in enumerate(channels):
            kind = SCALES[seed % len(SCALES)]
            write_volume(start.with_name(f"{start.name}{channel}.nii.gz"), kind, 10 * number + seed)
        nib.Nifti1Image(square(SHAPE, 1), AFFINE).to_filename(start.with_name(f"{start.name}seg.nii.gz"))


def write_nnunet_pictures(root: Path, cases: int = 2, channels: int = 2) -> None:
    """Gray pictures, one file per channel."""
    for number in range(cases):
        for channel in range(channels):
            values = noise(SHAPE[:2], 250, 10 * number + channel).astype(np.uint8)
            write_array(root / "imagesTr" / f"x_{number}_{channel:04}.png", values)
        write_array(root / "labelsTr" / f"x_{number}.png", square(SHAPE[:2], 1))
    _write_list(root, channels, cases, ".png")


def _write_list(root: Path, channels: int, cases: int, ending: str) -> None:
    fields = {
        "channel_names": {str(channel): f"m{channel}" for channel in range(channels)},
        "labels": {"background": 0, "tumor": 1},
        "numTraining": cases,
        "file_ending": ending,
    }
    (root / "dataset.json").write_text(json.dumps(fields))


def write_decathlon(root: Path, cases: int = 2, channels: int = 4, dtype: Any = np.float32) -> None:
    """One file per case with channels along the fourth axis, each of which is ten times as bright as the one before."""
    entries = []
    for number in range(cases):
        values = np.stack([noise(SHAPE, 250, 10 * number + k) * 10.0**k for k in range(channels)], axis=-1)
        image, label = (f"./{folder}/b_{number}.nii.gz" for folder in ("imagesTr", "labelsTr"))
        for name, array in ((image, values.astype(dtype)), (label, square(SHAPE, 1))):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            nib.Nifti1Image(array, AFFINE).to_filename(root / name)
        entries.append({"image": image, "label": label})
    modality = {str(channel): f"m{channel}" for channel in range(channels)}
    fields = {"modality": modality, "numTraining": cases, "training": entries, "test": []}
    (root / "dataset.json").write_text(json.dumps(fields))
