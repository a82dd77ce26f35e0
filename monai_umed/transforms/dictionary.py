"""Dictionary forms of the transforms in :mod:`monai_umed.transforms.array`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

import torch
from monai.config.type_definitions import KeysCollection, NdarrayOrTensor
from monai.transforms.transform import MapTransform

from ..protectors import Protector
from .array import ApplyPerturbation, ContourBand, LBPBound, UMedProtect


class ContourBandd(MapTransform):
    """Dictionary form of :class:`ContourBand`.

    Args:
        keys: labels to read.
        band_key_prefix: the band of ``label`` is stored under this prefix plus ``label``.
        radius, unit, side: see :class:`ContourBand`.
        allow_missing_keys: do not raise if a key is missing.

    Example:
        >>> import torch
        >>> case = mu.ContourBandd("label", radius=1)({"label": torch.ones(1, 8, 8)})
        >>> sorted(case)
        ['band_label', 'label']
    """

    backend = ContourBand.backend

    def __init__(
        self,
        keys: KeysCollection,
        radius: float = 2,
        unit: str = "pixel",
        side: str = "both",
        band_key_prefix: str = "band_",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.band_key_prefix = band_key_prefix
        self.transform = ContourBand(radius, unit, side)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[f"{self.band_key_prefix}{key}"] = self.transform(d[key])
        return d


class LBPBoundd(MapTransform):
    """Dictionary form of :class:`LBPBound`.

    Args:
        keys: images to read.
        bound_key_prefix: the bound of ``image`` is stored under this prefix plus ``image``.
        mode, threshold: see :class:`LBPBound`.
        allow_missing_keys: do not raise if a key is missing.

    Example:
        >>> import torch
        >>> sorted(mu.LBPBoundd("image")({"image": torch.rand(1, 16, 16)}))
        ['bound_image', 'image']
    """

    backend = LBPBound.backend

    def __init__(
        self,
        keys: KeysCollection,
        mode: str = "activity",
        threshold: float = 1.5 / 255,
        bound_key_prefix: str = "bound_",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.bound_key_prefix = bound_key_prefix
        self.transform = LBPBound(mode, threshold)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[f"{self.bound_key_prefix}{key}"] = self.transform(d[key])
        return d


class ApplyPerturbationd(MapTransform):
    """Dictionary form of :class:`ApplyPerturbation`: images are replaced by their perturbed versions.

    Args:
        keys: images to perturb.
        noise_key: key of the noise.
        bound_key: key of the bound.
        allow_missing_keys: do not raise if a key is missing.

    Example:
        >>> import torch
        >>> case = {"image": torch.rand(1, 4, 4), "noise": torch.ones(1, 4, 4), "bound": torch.zeros(1, 4, 4)}
        >>> bool((mu.ApplyPerturbationd("image")(case)["image"] == case["image"]).all())
        True
    """

    backend = ApplyPerturbation.backend

    def __init__(
        self,
        keys: KeysCollection,
        noise_key: str = "noise",
        bound_key: str = "bound",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.noise_key = noise_key
        self.bound_key = bound_key
        self.transform = ApplyPerturbation()

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.transform(d[key], d[self.noise_key], d[self.bound_key])
        return d


class UMedProtectd(MapTransform):
    """Dictionary form of :class:`UMedProtect`: images are replaced by their protected versions.

    Images and labels with affines must be on one grid: use ``Orientationd`` if only their axes differ, else
    ``ResampleToMatchd``.

    Args:
        keys: images to protect.
        protector, device, ignore_label: see :class:`UMedProtect`.
        label_key: key of the class numbers.
        id_key: key of the cases' names, for methods whose noise differs between cases.
        allow_missing_keys: do not raise if a key is missing.

    Example:
        >>> from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, ScaleIntensityRanged
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> done = mu.fit(data, work / "fit", preset="stamp", quick_check=False, progress=False)
        Protected 4 cases ...
        >>> keys = ["image", "label"]
        >>> pipeline = Compose(
        ...     [
        ...         LoadImaged(keys),
        ...         EnsureChannelFirstd(keys),
        ...         ScaleIntensityRanged(keys, a_min=0, a_max=255, b_min=0, b_max=1, clip=True),
        ...         mu.UMedProtectd("image", done.checkpoint, label_key="label"),
        ...     ]
        ... )
        >>> case = mu.find_cases(data, "test")[0]
        >>> pipeline({"image": case.image, "label": case.label})["image"].shape[0]
        1
    """

    backend = UMedProtect.backend

    def __init__(
        self,
        keys: KeysCollection,
        protector: str | Path | Protector,
        label_key: str = "label",
        device: str | torch.device = "cpu",
        allow_missing_keys: bool = False,
        id_key: str | None = None,
        ignore_label: int | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_key = label_key
        self.id_key = id_key
        self.transform = UMedProtect(protector, device, ignore_label=ignore_label)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            if self.label_key not in d:
                raise KeyError(
                    f"UMedProtectd needs the mask under {self.label_key!r}, the data has {sorted(map(str, d))}; "
                    "load the label as well or name its key with label_key."
                )
            name = None if self.id_key is None else str(d[self.id_key])
            d[key] = self.transform(d[key], d[self.label_key], name)
        return d


ContourBandD = ContourBandDict = ContourBandd
LBPBoundD = LBPBoundDict = LBPBoundd
ApplyPerturbationD = ApplyPerturbationDict = ApplyPerturbationd
UMedProtectD = UMedProtectDict = UMedProtectd
