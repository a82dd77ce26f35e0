"""What Lin et al. (2024, arXiv 2403.14250) report, for comparison: U-Net, 224 x 224, 150 epochs."""

from __future__ import annotations

from dataclasses import dataclass

SETTING = "224x224, 150 epochs"
EPS = 4 / 255


@dataclass(frozen=True)
class Published:
    """One published result.

    Attributes:
        table: number in the paper.
        dataset: as its folder is called here.
        protector: as it is called here, ``"clean"`` for none.
        defense: the one of this package that is closest to the paper's.
        dice: pooled, of a network trained on the protected files; None if not given.
        psnr: dB.
        ssim: see ``psnr``.
        eps: limit.
    """

    table: int
    dataset: str
    protector: str
    defense: str = "none"
    dice: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    eps: float = EPS


_DATASETS = ("busi", "chest_xray", "kvasir_seg")

# Dice in %, exploiter U-Net, in the order of the datasets.
_TABLE_1 = {
    "clean": (72.85, 91.85, 81.83),
    "em": (32.55, 64.62, 30.06),
    "tap": (34.77, 92.32, 25.84),
    "lsp": (34.16, 89.85, 64.38),
    "ar": (40.39, 91.45, 36.75),
    "sep": (35.47, 90.29, 63.45),
    "umed": (0.92, 19.24, 0.23),
}

# BUSI: method, eps in 255ths, Dice in % without defense, under blur, JPEG and adversarial training; PSNR, SSIM.
_TABLE_3 = (
    ("em", 4, (32.55, 55.97, 70.02, 70.69), 36.72, 0.9556),
    ("tap", 4, (34.77, 53.23, 53.38, 70.19), 36.80, 0.9528),
    ("lsp", 4, (34.16, 72.65, 65.39, 72.17), 37.62, 0.9795),
    ("ar", 4, (40.39, 70.37, 69.20, 72.06), 41.65, 0.9899),
    ("sep", 4, (35.47, 54.37, 62.98, 70.76), 36.47, 0.9354),
    ("umed", 4, (0.92, 48.81, 56.43, 71.91), 51.65, 0.9964),
    ("umed", 8, (0.08, 19.10, 28.49, 71.09), 44.63, 0.9862),
    ("umed", 12, (0.04, 17.21, 29.08, 0.38), 41.15, 0.9751),
)
_DEFENSES = ("none", "blur-1.0", "jpeg-60", "adversarial-1")

# PSNR in dB in the order of the datasets.
_TABLE_4 = {
    "em": (36.72, 38.42, 38.43),
    "tap": (36.80, 38.92, 37.50),
    "lsp": (37.62, 33.39, 34.22),
    "ar": (41.65, 33.53, 34.28),
    "sep": (36.47, 36.50, 36.75),
    "umed": (51.65, 46.73, 51.71),
}
_UMED_SSIM = (0.9964, 0.9962, 0.9963)

# BUSI, Dice in %, mean of U-Net, Attention U-Net, U-Net++ and TransUNet; rows A to G.
_TABLE_5 = {
    "umed": 6.34,
    "umed-contour": 15.13,
    "umed-contour-vanilla": 22.73,
    "em@band": 42.43,
    "umed-texture": 24.20,
    "umed-texture-flat": 25.85,
    "em@roi": 31.96,
}

MEAN_OF_NETWORKS = 5
"""Number of the table whose Dice is a mean over four networks."""


def _share(percent: float) -> float:
    return round(percent / 100, 4)


PUBLISHED: tuple[Published, ...] = (
    *(
        Published(1, dataset, protector, dice=_share(value))
        for protector, values in _TABLE_1.items()
        for dataset, value in zip(_DATASETS, values, strict=True)
    ),
    *(
        Published(3, "busi", protector, defense, _share(value), psnr, ssim, eps / 255)
        for protector, eps, values, psnr, ssim in _TABLE_3
        for defense, value in zip(_DEFENSES, values, strict=True)
    ),
    *(
        Published(4, dataset, protector, psnr=value, ssim=ssim if protector == "umed" else None)
        for protector, values in _TABLE_4.items()
        for dataset, value, ssim in zip(_DATASETS, values, _UMED_SSIM, strict=True)
    ),
    *(Published(5, "busi", protector, dice=_share(value)) for protector, value in _TABLE_5.items()),
)
