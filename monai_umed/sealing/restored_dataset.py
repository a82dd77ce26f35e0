"""Train on the originals of a sealed release, with its files and the key, without writing an original to a disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monai.data import Dataset

from .originals import Originals


class RestoredDataset(Dataset):
    """Originals and masks of a sealed release, decrypted in memory whenever an item is read.

    An item is a dictionary with ``image`` ``(C, *spatial)`` and ``label`` ``(1, *spatial)``, both float32
    :class:`monai.data.MetaTensor` on one grid, and ``id``. Image values, axes and affine are those of ``LoadImaged``
    and ``EnsureChannelFirstd`` for the original file, not scaled to [0, 1], see
    :class:`monai_umed.sealing.originals.Originals`. Labels are class numbers.

    It works with any data loader and in :class:`monai.data.CacheDataset`, which keeps items in memory. Do not put it
    into a dataset that caches on a disk.

    Args:
        protected_dir, sealed_dir, key, cases: see :class:`monai_umed.sealing.originals.Originals`.
        transform: transform or transforms of the dictionaries. Default: none.
        num_classes: classes of the masks, background included. With 2 the foreground may be 1, 255 or 65535.

    Raises:
        DatasetError, ManifestError, CaseError, ValueError: For the reasons of
            :class:`monai_umed.sealing.originals.Originals`, the first case being opened at once. Other cases raise
            when they are read, in the worker process of a data loader a ``RuntimeError`` that quotes the error.

    Example:
        >>> data, key = mu.write_phantom(work / "data", num_train=4, num_test=2), mu.new_key(work / "owner.key")
        >>> release = mu.protect(data, work / "out", preset="stamp", seal_key=key, progress=False)
        Protected 4 cases ...
        >>> dataset = mu.RestoredDataset(release.protected, work / "out" / "sealed", mu.read_key(key))
        >>> len(dataset), sorted(dataset[0])
        (4, ['id', 'image', 'label'])
    """

    def __init__(
        self,
        protected_dir: str | Path,
        sealed_dir: str | Path,
        key: bytes,
        transform: Sequence[Callable] | Callable | None = None,
        cases: Sequence[str] | None = None,
        num_classes: int = 2,
    ) -> None:
        self.originals = Originals(protected_dir, sealed_dir, key, cases)
        self.num_classes = num_classes
        super().__init__(self.originals.records, transform)

    def _transform(self, index: int) -> Any:
        record = self.data[index]
        image, label = self.originals.image_and_label(record, self.num_classes)
        return self.transform({"image": image, "label": label, "id": record.id})
