"""Read the originals of a sealed release as tensors, decrypted and decoded in memory and never written to a disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.utils.enums import MetaKeys, SpaceKeys
from monai.utils.misc import ImageMetaKey

from ..data.case import CaseError, DatasetError
from ..data.codec import decode_image
from ..data.labels import read_label
from ..data.loading import class_numbers
from ..data.manifest import MANIFEST, CaseRecord, Manifest
from ..io.joint_path import joint_files
from ..io.stored import CodecError, Decoded, StoredImage
from .records import open_original, original_name, read_mask, read_records

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_ROWS_FIRST = ("png", "jpeg", "bmp", "tiff", "dicom")  # of these formats, 2D images are decoded as (C, rows, columns)


class Originals:
    """Reader of the originals of a sealed release for the owner of its key.

    Images are what ``LoadImaged`` and ``EnsureChannelFirstd`` return for the original file: float32
    :class:`monai.data.MetaTensor` of displayed values (slope and intercept applied: HU in CT, gray levels in PNG),
    channel first with alpha if there is one, spatial axes ``(x, y)`` or ``(x, y, z)``, so that a 2D picture of
    ``(rows, columns)`` is transposed. The affine maps to RAS mm; if the file has none, it contains the spacing, or 1.

    Three kinds of file differ from MONAI's readers: a single DICOM slice is 2D, ``(C, x, y)``; ``MONOCHROME1`` files
    show large values bright, see `monai_umed.dicom.image.decode_dicom`; 16-bit color PNG files keep all 16 bits.

    The key is a plain attribute, because worker processes need it, and is pickled with the object: do not save either.
    Caches on a disk, such as :class:`monai.data.PersistentDataset`, would write decrypted images, and so would an
    operating system that swaps memory to an unencrypted disk.

    Args:
        protected_dir: folder that :func:`monai_umed.release.protect.protect_dataset` wrote.
        sealed_dir: folder that :func:`monai_umed.sealing.restore.seal_dataset` wrote.
        key: 32 bytes, see :func:`monai_umed.sealing.keys.read_key`.
        cases: ids of the cases to read. Default: all.

    Attributes:
        records: the manifest's entries of these cases, sorted by id.

    Raises:
        DatasetError: If the manifest lists no case or files that cannot be used, or if an id is unknown.
        ManifestError: If the manifest is missing or damaged.
        CaseError: If the first case cannot be opened, see :meth:`image`; so a wrong key is noticed at once.
        ValueError: If ``key`` has another length.
    """

    def __init__(
        self, protected_dir: str | Path, sealed_dir: str | Path, key: bytes, cases: Sequence[str] | None = None
    ) -> None:
        self.protected_dir, self.sealed_dir = Path(protected_dir), Path(sealed_dir)
        self._key = key
        self._ignore_label = Manifest.load(self.protected_dir / MANIFEST).ignore_label
        self.records = read_records(self.protected_dir, cases)
        if not self.records:
            raise DatasetError(str(protected_dir), ["no case to read; protect some, or name one"])
        open_original(self.protected_dir, self.sealed_dir, self.records[0], key)

    def image(self, record: CaseRecord) -> MetaTensor:
        """Return the original image of a case, ``(C, *spatial)``.

        Raises:
            CaseError: If a file is missing or cannot be decoded, or for the reasons of
                :func:`monai_umed.sealing.seal.open_case`, as a subclass.
            OSError: If a file cannot be read.
        """
        decoded = self._decode(record)
        return self._as_loaded(_displayed(decoded), decoded[0], record)

    def image_and_label(self, record: CaseRecord, num_classes: int = 2) -> tuple[MetaTensor, MetaTensor]:
        """Return the original image of a case, and its mask on the same grid and with the same affine.

        Args:
            record: one of ``records``.
            num_classes: classes of the mask, background included. With 2 the foreground may be 1, 255 or 65535.

        Returns:
            The result of :meth:`image`, and float32 class numbers ``0 .. num_classes - 1`` of shape ``(1, *spatial)``,
            which are 0 where the mask has the manifest's ``ignore_label``.

        Raises:
            ChangedFileError: If the mask is not the one in the manifest.
            CaseError: If the mask cannot be read or has other values, or for the reasons of :meth:`image`.
            OSError: If a file cannot be read.
        """
        decoded = self._decode(record)
        read_mask(self.protected_dir, record)
        first = decoded[0]
        grid = StoredImage(
            first.array, (0, 1), format=first.format, header=first.header, affine=first.affine, grid=first.grid
        )
        try:
            values = read_label(self.protected_dir / record.label, grid)
        except CodecError as error:
            raise CaseError(record.id, str(error)) from error
        label = class_numbers(record.id, values, num_classes, ignore_label=self._ignore_label)
        return self._as_loaded(_displayed(decoded), first, record), self._as_loaded(label, first, record)

    def _decode(self, record: CaseRecord) -> list[Decoded]:
        """Decode the original, or each of its files if channels have files of their own."""
        content = open_original(self.protected_dir, self.sealed_dir, record, self._key)
        files = joint_files(PurePosixPath(record.source))
        try:
            if files is None or isinstance(content, bytes):
                return [decode_image(record.source, content)]
            return [decode_image(file.name, content[name]) for name, file in files.items()]
        except CodecError as error:
            raise CaseError(record.id, str(error)) from error

    def _as_loaded(self, array: np.ndarray, image: Decoded, record: CaseRecord) -> MetaTensor:
        """Return ``(C, *spatial)`` on the grid of ``image``, its axes ordered as by MONAI's readers."""
        if turned := array.ndim == 3 and image.format in _ROWS_FIRST:
            array = array.swapaxes(1, 2)
        affine = np.eye(4)
        if image.affine is not None:
            affine = _TO_RAS @ image.affine
        elif image.spacing is not None:
            sides = image.spacing[::-1] if turned else image.spacing
            affine[range(len(sides)), range(len(sides))] = sides
        meta = {
            ImageMetaKey.FILENAME_OR_OBJ: original_name(record),
            MetaKeys.ORIGINAL_AFFINE: affine.copy(),
            MetaKeys.ORIGINAL_CHANNEL_DIM: 0,
            MetaKeys.SPATIAL_SHAPE: np.array(array.shape[1:]),
            MetaKeys.SPACE: SpaceKeys.RAS,
        }
        values = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        return MetaTensor(values, affine=torch.from_numpy(affine), meta=meta)


def _displayed(images: Sequence[Decoded]) -> np.ndarray:
    values = [_with_scale(image) for image in images]
    return values[0] if len(values) == 1 else np.concatenate(values)


def _with_scale(decoded: Decoded) -> np.ndarray:
    if (decoded.slope, decoded.intercept) == (1.0, 0.0):
        return decoded.array
    return decoded.array * decoded.slope + decoded.intercept  # float64, rounded to float32 once
