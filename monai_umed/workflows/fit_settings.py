"""What decides the result of a fit: what ``settings.json`` and a checkpoint keep, so that equal fits are recognized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from ..fitting.pattern_key import key_mark
from ..protectors import Protector

Window = tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class MethodSettings:
    """What decides the result of a fit, as ``settings.json`` and the checkpoint keep it.

    Folders are made absolute and objects become text, so that equal fits have equal settings.

    Attributes:
        dataset_dir: the dataset, or its images alone.
        labels_dir: the labels, if ``dataset_dir`` holds images alone.
        seed: of everything that is drawn.
        num_classes: classes of the masks, background included.
        window: intensities that map to 0 and 1; None for those of the files.
        protector: what is fitted, as it is before.
        ignore_label: value of the masks that is no class; None if all of them are.
        key: file of the pattern's key, if it has one; its mark is what is kept.
        target_psnr: dB that files must have at least, if that was asked for.

    Raises:
        KeyFileError: if the key cannot be used.
    """

    _if_given: ClassVar[tuple[str, ...]] = ("ignore_label", "key")

    dataset_dir: str
    labels_dir: str | None
    seed: int
    num_classes: int
    window: Window
    protector: Protector | str
    target_psnr: float | None
    ignore_label: int | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset_dir", str(Path(self.dataset_dir).resolve()))
        object.__setattr__(self, "labels_dir", str(Path(self.labels_dir).resolve()) if self.labels_dir else None)
        object.__setattr__(self, "protector", repr(self.protector))
        object.__setattr__(self, "key", None if self.key is None else key_mark(self.key))

    def kept(self) -> dict[str, Any]:
        """As plain values; without what was added later where there is none, so that older fits are recognized."""
        return {name: value for name, value in asdict(self).items() if name not in self._if_given or value is not None}


@dataclass(frozen=True, kw_only=True)
class UMedSettings(MethodSettings):
    """As :class:`MethodSettings`, with what decides the fit of UMed's generators.

    Attributes:
        surrogate: the network that the generators are fitted against.
        epochs: of the whole fit, of the generators in a turn, and of the warm-up.
        native_scale: how many times larger than the grid files are taken to be.
        transformations: what images go through during the fit.
        adversarial_radius: of the adversary that the fit expects, a fraction of the window.
        learning_rates: of the surrogate and of the generators.
        batch_size: cases in a step.
        amp: whether the fit computes in bfloat16 where that is safe.
    """

    _if_given: ClassVar[tuple[str, ...]] = ("ignore_label",)

    surrogate: torch.nn.Module | str
    epochs: list[int]
    native_scale: int
    transformations: Sequence[object] | str
    adversarial_radius: float | str
    learning_rates: list[float]
    batch_size: int
    amp: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "surrogate", str(self.surrogate))
        object.__setattr__(self, "transformations", repr(self.transformations))
