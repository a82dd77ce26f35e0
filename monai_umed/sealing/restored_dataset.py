"""Train on the originals of a sealed release: what was published and the key are enough, no original is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monai.data import Dataset

from .originals import Originals


class RestoredDataset(Dataset):
    """Originals and masks of a sealed release, decrypted in memory whenever an item is asked for.

    An item is a dictionary with ``image`` ``(C, *spatial)`` and ``label`` ``(1, *spatial)``, both float32
    :class:`monai.data.MetaTensor` on one grid, and ``id``. Image values, axes and affine are those of ``LoadImaged``
    and ``EnsureChannelFirstd`` for the original file, see :class:`monai_umed.sealing.originals.Originals`; nothing is
    scaled to [0, 1]. Labels are class numbers.

    It works with any data loader and in :class:`monai.data.CacheDataset`, which keeps items in memory. Do not put it
    into a dataset that caches on a disk.

    Args:
        protected_dir: folder that :func:`monai_umed.release.protect.protect_dataset` wrote.
        sealed_dir: folder that :func:`monai_umed.sealing.restore.seal_dataset` wrote.
        key: 32 bytes, see :func:`monai_umed.sealing.keys.read_key`.
        transform: transform or transforms of the dictionaries. Default: none.
        cases: ids of the cases to read. Default: all. The order is always that of the ids.
        num_classes: classes of the masks, background included. With 2 the foreground may be 1, 255 or 65535.

    Raises:
        DatasetError: the manifest names no usable files or no case, or ``cases`` has an unknown id.
        ManifestError: no usable manifest.
        WrongKeyError, DamagedError, SwappedError, ChangedFileError, CaseError: the first case cannot be opened. Later
            cases raise the same when they are read; from the worker process of a data loader, a ``RuntimeError`` whose
            text holds it.
        ValueError: ``key`` has another length.

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
