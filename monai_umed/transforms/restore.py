"""MONAI transforms that read the original instead of a protected image, with the key and in memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform, Transform
from monai.utils.enums import TransformBackends

from ..sealing.originals import Originals


class UMedRestore(Transform):
    """Read the original of a protected image, decrypted in memory and never written to a disk.

    Arguments and errors are those of :class:`monai_umed.sealing.originals.Originals`.

    Example:
        >>> data, key = mu.write_phantom(work / "data", num_train=4, num_test=2), mu.new_key(work / "owner.key")
        >>> release = mu.protect(data, work / "out", preset="stamp", seal_key=key, progress=False)
        Protected 4 cases ...
        >>> original = mu.UMedRestore(release.protected, work / "out" / "sealed", mu.read_key(key))
        >>> original(release.protected / release.manifest.cases[0].image).shape[0]
        1
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 - MONAI's own form

    def __init__(self, protected_dir: str | Path, sealed_dir: str | Path, key: bytes) -> None:
        self.originals = Originals(protected_dir, sealed_dir, key)
        folder = self.originals.protected_dir.resolve()
        self._records = {folder / record.image: record for record in self.originals.records}

    def __call__(self, image: str | Path) -> MetaTensor:
        """Return the original ``(C, *spatial)``, see :class:`monai_umed.sealing.originals.Originals`.

        Args:
            image: path of the protected image, a file or the folder of a series.

        Raises:
            TypeError: If ``image`` is not a path, but for example an image that was already loaded.
            ValueError: If the manifest lists no such image.
            CaseError: If it cannot be opened, see :meth:`monai_umed.sealing.originals.Originals.image`.
            OSError: If a file cannot be read.
        """
        if not isinstance(image, (str, Path)):
            raise TypeError(f"Expected a protected image's path, got {type(image).__name__}; put it before LoadImage.")
        record = self._records.get(Path(image).resolve())
        if record is None:
            folder = self.originals.protected_dir
            raise ValueError(f"{image} is not an image in the manifest of {folder}; name one of its images.")
        return self.originals.image(record)


class UMedRestored(MapTransform):
    """Dictionary form of :class:`UMedRestore`: paths of protected images are replaced by their originals.

    It takes the place of ``LoadImaged`` and ``EnsureChannelFirstd`` for images; masks are public and loaded as usual.
    Within a pipeline, MONAI wraps errors in a ``RuntimeError``.

    Args:
        keys: paths of protected images.
        protected_dir, sealed_dir, key: see :class:`UMedRestore`.
        allow_missing_keys: do not raise if a key is missing.

    Example:
        >>> data, key = mu.write_phantom(work / "data", num_train=4, num_test=2), mu.new_key(work / "owner.key")
        >>> release = mu.protect(data, work / "out", preset="stamp", seal_key=key, progress=False)
        Protected 4 cases ...
        >>> original = mu.UMedRestored("image", release.protected, work / "out" / "sealed", mu.read_key(key))
        >>> case = mu.find_cases(release.protected)[0]
        >>> original({"image": case.image})["image"].shape[0]
        1
    """

    backend = UMedRestore.backend

    def __init__(
        self,
        keys: KeysCollection,
        protected_dir: str | Path,
        sealed_dir: str | Path,
        key: bytes,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = UMedRestore(protected_dir, sealed_dir, key)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.transform(d[key])
        return d


UMedRestoreD = UMedRestoreDict = UMedRestored
