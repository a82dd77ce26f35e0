"""The settings that determine a fit, kept in ``settings.json`` and the checkpoint to recognize equal fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from ..fitting.pattern_key import key_mark
from ..io.stored import IntensityWindow
from ..protectors import Protector


@dataclass(frozen=True, kw_only=True)
class MethodSettings:
    """The settings that determine the result of a fit.

    Folders become absolute and objects become text, so that equal fits have equal settings.

    Attributes:
        dataset_dir: the dataset, or its images alone.
        labels_dir: the labels, if ``dataset_dir`` holds images alone.
        seed: of everything that is drawn.
        num_classes: classes of the masks, background included.
        intensity_window: intensities that map to 0 and 1; None for those of the files.
        protector: what is fitted, as it is before.
        ignore_label: value of the masks that is no class; None if all of them are.
        merge_masks: whether several masks of one image are its mask together.
        key: file of the pattern's key, if it has one; its mark is what is kept.
        target_psnr: dB that files must have at least, if that was asked for.

    Raises:
        KeyFileError: If the key cannot be used.
    """

    _if_given: ClassVar[tuple[str, ...]] = ("ignore_label", "merge_masks", "key")

    dataset_dir: str
    labels_dir: str | None
    seed: int
    num_classes: int
    intensity_window: IntensityWindow | None
    protector: Protector | str
    target_psnr: float | None
    ignore_label: int | None = None
    merge_masks: bool = False
    key: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset_dir", str(Path(self.dataset_dir).resolve()))
        object.__setattr__(self, "labels_dir", str(Path(self.labels_dir).resolve()) if self.labels_dir else None)
        object.__setattr__(self, "protector", repr(self.protector))
        object.__setattr__(self, "key", None if self.key is None else key_mark(self.key))

    def kept(self) -> dict[str, Any]:
        """Return plain values, without what was added later if it is not given, so that older fits are recognized."""
        return {name: value for name, value in asdict(self).items() if name not in self._if_given or value}


@dataclass(frozen=True, kw_only=True)
class UMedSettings(MethodSettings):
    """:class:`MethodSettings` with those of UMed's generators.

    Attributes:
        surrogate: the network that the generators are fitted against.
        epochs: numbers of epochs: all, of the generators in a turn, and of the warm-up.
        native_scale: factor by which files are assumed to be larger than the grid.
        learning_rates: learning rates of the surrogate and of the generators.
        batch_size: cases per step.
        amp: whether the fit uses bfloat16 where it is safe.
    """

    _if_given: ClassVar[tuple[str, ...]] = ("ignore_label",)

    surrogate: torch.nn.Module | str
    epochs: list[int]
    native_scale: int
    learning_rates: list[float]
    batch_size: int
    amp: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "surrogate", str(self.surrogate))
