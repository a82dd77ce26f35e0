"""What a dataset says about itself, so that nobody has to: dimensions, channels, classes and a size to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .case import CaseError, DatasetError
from .cases import Section, find_cases
from .label_values import count_classes
from .loading import read_case_image
from .two_folders import DatasetDir
from .working_grid import IMAGE_SIZE, STRIDE, fitting_grid, held_sides, say_sides

SAMPLE = 16
"""Images that are looked at, spread evenly over the names; labels are looked at all."""
LARGEST_WINDOW = {2: 256, 3: 96}
"""Longest side of a window by its dimensions: what two CPU cores can train on."""


@dataclass(frozen=True)
class DatasetFacts:
    """What the settings of a fit or an audit are derived from.

    Attributes:
        spatial_dims: of the networks: 2 for images and for slices of volumes, 3 for volumes.
        volumes: whether the cases are volumes.
        in_channels: channels of most images, without alpha.
        num_classes: classes of the masks, background included.
        grid: grid or window that exploiters train on, one number per spatial axis of the networks.
        slice_axis: axis across which networks for images see volumes; None if they do not.
        sides: what nine of ten images or slices hold along each axis, see :attr:`working_size`.
    """

    spatial_dims: int
    volumes: bool
    in_channels: int
    num_classes: int
    grid: tuple[int, ...]
    slice_axis: int | None
    sides: tuple[int, ...]

    @property
    def patch(self) -> tuple[int, ...]:
        """Window of volumes for trainings on CPUs: the sides that nine of ten volumes hold, to the next multiple of 16.

        From 32 to 48, so that a batch of four has less than half a million voxels; of images, :attr:`grid`.
        """
        if self.spatial_dims == 2:
            return self.grid
        return tuple(min(48, max(32, round(side / STRIDE) * STRIDE)) for side in self.sides)

    @property
    def working_size(self) -> tuple[int, ...]:
        """Grid or window of protectors: :attr:`size`, but for images no larger than they are.

        Raises:
            ValueError: If there is no grid for images that small.
        """
        if self.volumes:
            return self.grid
        grid = fitting_grid(self.sides)
        if grid is None:
            raise ValueError(
                f"Images of {say_sides(self.sides)} pixels are too small for a working grid, whose sides are multiples "
                f"of {STRIDE} and one of them at least {2 * STRIDE}; enlarge images and masks to {2 * STRIDE} x "
                f"{2 * STRIDE} or more."
            )
        return grid


def coarsest_axis(spacings: Sequence[Sequence[float]]) -> int:
    """The axis along which voxels are longest on average over several volumes; the last of those that are alike."""
    lengths = np.mean(spacings, axis=0)
    return int(np.flatnonzero(lengths > 0.99 * lengths.max())[-1])


def window_size(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """A window of native voxels that holds volumes as a whole, within limits.

    Args:
        shapes: spatial shapes of volumes or of their slices.

    Returns:
        Per axis the largest side, rounded up to a multiple of 16, at most 96 in 3D and 256 in 2D.
    """
    sides = (max(axis) for axis in zip(*shapes, strict=True))
    return tuple(min(LARGEST_WINDOW[len(shapes[0])], -(-side // STRIDE) * STRIDE) for side in sides)


def inspect_dataset(
    dataset_dir: DatasetDir,
    section: Section = "all",
    *,
    slice_axis: int | None = None,
    spatial_dims: int | None = None,
    cut: bool = False,
) -> DatasetFacts:
    """Look at a few images of a dataset, and at all of its labels.

    Masks with values up to 15 are taken for class numbers, all others for one class, whatever its value; whether each
    of them holds what it may is checked when it is used. Classes are counted over the whole dataset, since one that few
    files have may be in no file of the section.

    Args:
        dataset_dir: folder with images and masks, see :func:`monai_umed.data.cases.find_cases`.
        section: ``"train"``, ``"test"`` or ``"all"``.
        slice_axis: axis across which networks for images see volumes, if they do.
        spatial_dims: what the caller takes the dataset for, if anything.
        cut: whether networks for images see volumes across the coarsest axis if neither of the two says anything.

    Raises:
        DatasetError: If the folder is malformed or none of the cases looked at can be read.
        ValueError: If ``slice_axis`` is given for images, or the dataset is not what ``spatial_dims`` says.
    """
    cases = find_cases(dataset_dir, section)
    sample = cases if len(cases) <= SAMPLE else [cases[k * len(cases) // SAMPLE] for k in range(SAMPLE)]
    shapes: list[tuple[int, ...]] = []
    spacings: list[tuple[float, ...]] = []
    channels: list[int] = []
    reasons: list[str] = []
    for case in sample:
        try:
            stored = read_case_image(case)
        except CaseError as error:
            reasons.append(f"{case.id}: {error.reason}")
            continue
        shapes.append(stored.shape)
        spacings.append(stored.spacing or (1.0,) * len(stored.shape))
        channels.append(len(stored.color))
    if not shapes:
        raise DatasetError(str(dataset_dir), reasons)
    dims = len(shapes[0])
    spacings = [spacing for spacing in spacings if len(spacing) == dims]
    shapes = [shape for shape in shapes if len(shape) == dims]
    if spatial_dims not in (None, dims if slice_axis is None else 2):
        cure = "or give slice_axis to take volumes as images" if dims == 3 else "or choose another dataset"
        raise ValueError(f"spatial_dims is {spatial_dims}, but {dataset_dir} is {dims}D; leave it out, {cure}.")
    if cut and dims == 3 and slice_axis is None and spatial_dims is None:
        slice_axis = coarsest_axis(spacings)
    if slice_axis is not None:
        if dims == 2:
            raise ValueError(f"slice_axis is {slice_axis}, but {dataset_dir} holds images; leave it out.")
        shapes = [shape[:slice_axis] + shape[slice_axis + 1 :] for shape in shapes]
    return DatasetFacts(
        spatial_dims=len(shapes[0]),
        volumes=dims == 3,
        in_channels=Counter(channels).most_common(1)[0][0],
        num_classes=count_classes(cases if section == "all" else find_cases(dataset_dir)),
        grid=window_size(shapes) if dims == 3 else IMAGE_SIZE,
        slice_axis=slice_axis,
        sides=held_sides(shapes),
    )
