"""All defenses by name, and names joined by ``+`` for several at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..io.suggest import did_you_mean
from .adversarial import AdversarialTraining, WorstOf
from .augmentation import Cutout, GammaContrast, NNUNet, RandomNoise
from .base import Composed, Defense, Longer
from .clean_data import CleanPartAlone, CleanStatistics, EarlyStopping, PartlyProtected
from .color import ChannelStandardize, ColorJitter, GrayWorld, SingleChannel
from .filters import BitDepth, Contrast, GaussianBlur, Grayscale, Half, Jpeg, Median, TrainingSize
from .geometric_augmentation import Affine, Elastic, Flips, RandomCrop, RandomInterpolation
from .mask_aware import DenoiseInMask, IgnoreBorder, QuantizeInMask
from .mixing import CutMix, Mixup
from .pretrained import PretrainedEncoder
from .purifier import AverageSubtract, LeakedPairs, ToolAwarePurifier
from .refit import FullRefit, LastLayerRefit


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Attributes:
        make: builds the defense from eps, the largest change of the files under test.
        summary: what it does, for people.
        cheap: whether anyone can do it with the files alone or with a handful of clean images; the verdict is the
            worst case over these.
        compare_with: another entry that says nothing without this one, and the other way round.
        control: whether it is not a defense but what one is compared with; it never sees the protected files.
        own_ceiling: whether doing the same to clean files is what an exploiter of clean files could do, too; if not,
            the ceiling is that of ordinary training.
    """

    make: Callable[[float], Defense]
    summary: str
    cheap: bool = True
    compare_with: str | None = None
    control: bool = False
    own_ceiling: bool = True


def _jpeg(quality: int) -> Entry:
    return Entry(lambda eps: Jpeg(quality), f"JPEG, quality {quality}")


def _bit_depth(bits: int) -> Entry:
    return Entry(lambda eps: BitDepth(bits), f"{2**bits} gray levels")


def _refit(percent: int) -> Entry:
    return Entry(lambda eps: LastLayerRefit(percent / 100), f"last layer refit on {percent} % clean data", False)


def _refit_all(percent: int) -> Entry:
    return Entry(lambda eps: FullRefit(percent / 100), f"all layers trained on with {percent} % clean data", False)


def _leaked_pairs(count: int) -> Entry:
    summary = f"a network trained on {count} leaked originals and their protected files removes it"
    return Entry(lambda eps: LeakedPairs(count), summary, False, own_ceiling=False)


def _adversarial(radius: float) -> Entry:
    summary = f"adversarial training, radius {radius} eps"
    return Entry(lambda eps: AdversarialTraining(radius * eps), summary, False)


def _partly(percent: int) -> dict[str, Entry]:
    fraction = percent / 100
    alone = f"clean-{100 - percent}"
    return {
        f"partly-{percent}": Entry(
            lambda eps: PartlyProtected(fraction), f"{percent} % of the files are protected", False, alone
        ),
        alone: Entry(
            lambda eps: CleanPartAlone(fraction),
            f"only the {100 - percent} % that are clean",
            False,
            control=True,
            own_ceiling=False,
        ),
    }


DEFENSES: dict[str, Entry] = {
    "none": Entry(lambda eps: Defense(), "ordinary training"),
    "blur-0.8": Entry(lambda eps: GaussianBlur(0.8), "Gaussian blur, 3 pixels, sigma 0.8"),
    "blur-1.0": Entry(lambda eps: GaussianBlur(1.0), "Gaussian blur, 3 pixels, sigma 1.0"),
    "blur-2.0": Entry(lambda eps: GaussianBlur(2.0, 13), "Gaussian blur, 13 pixels, sigma 2.0"),
    "blur-3.0": Entry(lambda eps: GaussianBlur(3.0, 19), "Gaussian blur, 19 pixels, sigma 3.0"),
    "blur-4.0": Entry(lambda eps: GaussianBlur(4.0, 25), "Gaussian blur, 25 pixels, sigma 4.0"),
    "median-3": Entry(lambda eps: Median(3), "median of 3 pixels a side"),
    "median-5": Entry(lambda eps: Median(5), "median of 5 pixels a side"),
    **{f"jpeg-{quality}": _jpeg(quality) for quality in (90, 75, 60, 30, 10)},
    **{f"bits-{bits}": _bit_depth(bits) for bits in (6, 4, 2)},
    "grayscale": Entry(lambda eps: Grayscale(), "colors replaced by luma"),
    "single-channel": Entry(lambda eps: SingleChannel(), "one channel alone, the middle one"),
    "gray-world": Entry(lambda eps: GrayWorld(), "white balance: channels scaled to one mean"),
    "channel-standardize": Entry(lambda eps: ChannelStandardize(), "channels brought to one mean and deviation"),
    "color-jitter": Entry(lambda eps: ColorJitter(), "random turns of hue and factors of channels"),
    "half-size": Entry(lambda eps: Half(), "half the size and back"),
    "train-smaller": Entry(lambda eps: TrainingSize(0.5), "trains on half the grid"),
    "train-larger": Entry(lambda eps: TrainingSize(1.5), "trains on a grid one and a half times as large"),
    "gamma": Entry(lambda eps: Contrast(gamma=0.7), "fixed gamma 0.7 and contrast 1.25"),
    "gamma-contrast": Entry(lambda eps: GammaContrast(), "random gamma, brightness and contrast"),
    "nnunet": Entry(lambda eps: NNUNet(), "nnU-Net's default augmentation"),
    "flips": Entry(lambda eps: Flips(), "mirrored at random"),
    "affine": Entry(lambda eps: Affine(), "random rotation of up to 20 degrees and zoom"),
    "elastic": Entry(lambda eps: Elastic(), "smoothly bent by up to 4 pixels"),
    "coin": Entry(lambda eps: RandomInterpolation(), "every pixel shifted by up to 2 pixels at random (COIN)"),
    "random-crop": Entry(lambda eps: RandomCrop(), "random crops of seven eighths of each side"),
    "cutout": Entry(lambda eps: Cutout(), "a box of half the side erased"),
    "mixup": Entry(lambda eps: Mixup(), "images and labels mixed"),
    "cutmix": Entry(lambda eps: CutMix(), "boxes pasted between images"),
    "noise": Entry(lambda eps: RandomNoise(), "uniform noise of radius eps"),
    "worst-of-5": Entry(lambda eps: WorstOf(5), "worst of five strong augmentations (UEraser)"),
    "early-stopping": Entry(lambda eps: EarlyStopping(0.05), "best epoch on 5 % clean data"),
    "clean-statistics": Entry(
        lambda eps: CleanStatistics(0.05), "statistics of batch normalization from 5 % clean images, without labels"
    ),
    "pretrained": Entry(lambda eps: PretrainedEncoder(), "encoder pretrained on other images, fine-tuned"),
    "frozen": Entry(lambda eps: PretrainedEncoder(frozen=True), "encoder pretrained on other images, frozen"),
    "denoise-mask": Entry(lambda eps: DenoiseInMask(), "smoothed inside the mask"),
    "denoise-image": Entry(
        lambda eps: DenoiseInMask(2.0, region="image"), "training images smoothed everywhere, test images not"
    ),
    "quantize-mask": Entry(lambda eps: QuantizeInMask(), "low bits removed inside the mask"),
    "ignore-border": Entry(lambda eps: IgnoreBorder(), "contour band left out of the loss"),
    "average-subtract": Entry(lambda eps: AverageSubtract(), "mean residue of all regions subtracted"),
    "long": Entry(lambda eps: Longer(4), "four times the epochs"),
    **{f"refit-{percent}": _refit(percent) for percent in (1, 5, 10)},
    **{f"refit-all-{percent}": _refit_all(percent) for percent in (1, 5, 10)},
    **{name: entry for percent in (20, 40, 60, 80) for name, entry in _partly(percent).items()},
    **{f"adversarial-{radius}": _adversarial(radius) for radius in (0.5, 1, 2)},
    "purifier": Entry(
        # Taking a perturbation off clean images would put its negative onto them.
        lambda eps: ToolAwarePurifier(),
        "a network trained with this tool on other images removes it",
        False,
        own_ceiling=False,
    ),
    **{f"leaked-pairs-{count}": _leaked_pairs(count) for count in (5, 20, 50)},
}


def defense_entry(name: str) -> Entry:
    """Look a defense up; ``"blur-1.0+nnunet"`` is both, in that order, and as cheap as its costliest part.

    Raises:
        ValueError: If a part does not exist; the nearest name is offered.
    """
    parts = name.split("+")
    for part in parts:
        if part not in DEFENSES:
            hint = did_you_mean(part, DEFENSES)
            raise ValueError(f"There is no defense {part!r}.{hint} Known: {', '.join(DEFENSES)}.")
    if len(parts) == 1:
        return DEFENSES[name]
    entries = [DEFENSES[part] for part in parts]
    return Entry(
        lambda eps: Composed([entry.make(eps) for entry in entries]),
        ", ".join(entry.summary for entry in entries),
        all(entry.cheap for entry in entries),
        own_ceiling=all(entry.own_ceiling for entry in entries),
    )
