"""MONAI transforms of arrays: contour band, texture bound, bounded addition, and protection by a checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.config.type_definitions import NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import affine_to_spacing, to_affine_nd
from monai.transforms.transform import Transform
from monai.utils.enums import TransformBackends
from monai.utils.type_conversion import convert_to_dst_type, convert_to_tensor

from ..data.two_folders import check_ignore_label
from ..functional.bounded_addition import add_bounded
from ..functional.contour_band import contour_band, half_widths
from ..functional.local_binary_pattern import lbp_bound
from ..io.grids import GRID_TOLERANCE, grid_corners
from ..protectors import Protector
from ..protectors.arrival import check_arrival, root_mean_square
from ..protectors.channels import in_channels_of, perturb_as_known
from ..protectors.checkpoint import load_protector
from .class_numbers import as_class_numbers, split_void


def spacing_of(image: NdarrayOrTensor) -> tuple[float, ...] | None:
    """Return the spacing in mm of a MetaTensor's axes, from its affine; None for any other array."""
    if not isinstance(image, MetaTensor):
        return None
    return tuple(float(size) for size in affine_to_spacing(image.affine, r=image.ndim - 1))


def check_same_place(image: NdarrayOrTensor, other: NdarrayOrTensor, name: str) -> None:
    """Check that an array is on the grid of its image; arrays without an affine are not compared.

    Args:
        image: ``(C, *spatial)``.
        other: ``(C or 1, *spatial)``.
        name: what ``other`` is, for the error.

    Raises:
        ValueError: If both are MetaTensors whose corners are further apart than a tenth of the image's smallest voxel.
    """
    if not (isinstance(image, MetaTensor) and isinstance(other, MetaTensor)):
        return
    affines = [to_affine_nd(3, np.asarray(tensor.affine.cpu(), np.float64)) for tensor in (image, other)]
    corners = grid_corners((*image.shape[1:], 1, 1)[:3])
    apart = np.linalg.norm(((affines[0] - affines[1]) @ corners)[:3], axis=0).max()
    if not apart <= GRID_TOLERANCE * min(spacing_of(image) or ()):
        listed = " and ".join(str(affine[:3].round(4).tolist()) for affine in affines)
        raise ValueError(
            f"The {name} is not on the image's grid: their affines put corners {apart:.4g} mm apart (image and {name}: "
            f"{listed}). Put Orientationd(keys=[image, label], axcodes='RAS') before it if axes are only flipped or "
            "exchanged, else ResampleToMatchd(keys=label, key_dst=image, mode='nearest')."
        )


class ContourBand(Transform):
    """Mark the pixels around the boundaries of a label map, see `contour_band`.

    Args:
        radius: half-width of the band in ``unit``.
        unit: ``"pixel"``, or ``"mm"`` for labels with an affine, see `half_widths`.
        side: ``"both"`` as in the paper, ``"inner"`` or ``"outer"``.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 9, 9)
        >>> label[:, 3:6, 3:6] = 1
        >>> int(mu.ContourBand(radius=1)(label).sum())
        24
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 - MONAI's own form

    def __init__(self, radius: float = 2, unit: str = "pixel", side: str = "both") -> None:
        self.radius = radius
        self.unit = unit
        self.side = side

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return 1 in the band of a label ``(1, *spatial)`` and 0 elsewhere, in the label's shape, type and dtype.

        Raises:
            ValueError: If the label does not have a single channel, or an argument is out of range.
        """
        values = convert_to_tensor(label, track_meta=get_track_meta())
        if values.ndim < 3 or values.shape[0] != 1:
            raise ValueError(
                f"Expected one channel of class numbers, shape (1, *spatial), got {tuple(values.shape)}; "
                "use AsDiscrete(argmax=True) on one-hot labels."
            )
        widths = half_widths(self.radius, values.ndim - 1, self.unit, spacing_of(label))
        return convert_to_dst_type(contour_band(torch.as_tensor(values), widths, self.side), dst=label)[0]


class LBPBound(Transform):
    """Compute the texture strength of every pixel, see `lbp_bound`.

    Args:
        mode: ``"activity"`` or ``"code"``.
        threshold: difference to a neighbor that counts as texture, in units of the [0, 1] window.

    Example:
        >>> import torch
        >>> mu.LBPBound()(torch.rand(1, 16, 16)).shape
        torch.Size([1, 16, 16])
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(self, mode: str = "activity", threshold: float = 1.5 / 255) -> None:
        self.mode = mode
        self.threshold = threshold

    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the strength in [0, 1] for an image ``(C, *spatial)`` in [0, 1]: float32 ``(1, *spatial)``."""
        values = convert_to_tensor(image, track_meta=get_track_meta())
        bound = lbp_bound(torch.as_tensor(values), self.mode, self.threshold)
        return convert_to_dst_type(bound, dst=image, dtype=torch.float32)[0]


class ApplyPerturbation(Transform):
    """Add noise to an image so that no pixel changes by more than its bound or leaves [0, 1].

    Example:
        >>> import torch
        >>> image, noise, bound = torch.full((1, 4, 4), 0.5), torch.ones(1, 4, 4), torch.full((1, 4, 4), 4 / 255)
        >>> moved = mu.ApplyPerturbation()(image, noise, bound) - image
        >>> round(255 * float(moved.max()), 3)
        4.0
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __call__(  # type: ignore[override]
        self, image: NdarrayOrTensor, noise: NdarrayOrTensor, bound: NdarrayOrTensor | float
    ) -> NdarrayOrTensor:
        """Return the sum of image and clipped noise, with the image's type, dtype and metadata.

        Args:
            image: ``(C, *spatial)`` in [0, 1], of a floating-point type.
            noise: ``(C or 1, *spatial)`` in the same units.
            bound: ``(C or 1, *spatial)`` or one number, not negative.

        Raises:
            ValueError: If the image has an integer type, or if ``bound`` is negative or has another affine.
        """
        values = torch.as_tensor(convert_to_tensor(image, track_meta=get_track_meta()))
        if not values.is_floating_point():
            raise ValueError(
                f"The image is of type {values.dtype}, where a change below 1 is lost; scale it to [0, 1] first."
            )
        noise_tensor, bound_tensor = (
            torch.as_tensor(convert_to_tensor(value, track_meta=False)).to(values) for value in (noise, bound)
        )
        if isinstance(bound, MetaTensor):
            check_same_place(image, bound, "bound")
        if (bound_tensor < 0).any():
            raise ValueError(f"bound has {bound_tensor.min():.4g}; a bound is the limit of |delta|, at least 0.")
        return convert_to_dst_type(add_bounded(values, noise_tensor, bound_tensor), dst=image)[0]


class UMedProtect(Transform):
    """Protect images inside a MONAI pipeline with a fitted protector.

    Put it after intensities are scaled to [0, 1]. It keeps size, type, dtype and metadata. To publish files, use
    :func:`monai_umed.protect` instead, which is exact to the gray level: saving the output of a pipeline rounds.

    Pixels outside of the structure that are NaN or infinite stay as they are. A protector that was fitted to gray
    images takes images of three channels, and the other way round, as files are taken.

    Args:
        protector: checkpoint of any method, see :func:`monai_umed.fit`, or a fitted
            :class:`monai_umed.protectors.Protector`.
        device: where networks run.
        ignore_label: value of the labels that is no class, 1 to 65535, often 255; pixels that have it stay as they are.

    Raises:
        monai_umed.protectors.checkpoint.CheckpointError: If the checkpoint cannot be used.
        ValueError: If ``ignore_label`` is out of range.

    Example:
        >>> import torch
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> done = mu.fit(data, work / "fit", preset="stamp", quick_check=False, progress=False)
        Protected 4 cases ...
        >>> image, label = torch.full((1, 128, 128), 0.5), torch.zeros(1, 128, 128)
        >>> label[:, 32:96, 32:96] = 1
        >>> changed = mu.UMedProtect(done.checkpoint)(image, label) != image
        >>> bool(changed[label > 0].any()), bool(changed[label == 0].any())
        (True, False)
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(
        self,
        protector: str | Path | Protector,
        device: str | torch.device = "cpu",
        *,
        ignore_label: int | None = None,
    ) -> None:
        self.ignore_label = None if ignore_label is None else check_ignore_label(ignore_label)
        self.device = torch.device(device)
        self.protector = protector if isinstance(protector, Protector) else load_protector(protector, self.device)

    def __call__(  # type: ignore[override]
        self, image: NdarrayOrTensor, label: NdarrayOrTensor, case_id: str | None = None
    ) -> NdarrayOrTensor:
        """Return the protected image; an image without foreground stays as it is.

        Args:
            image: ``(C, *spatial)`` in [0, 1], of a floating-point type and any spatial size.
            label: class numbers ``(1, *spatial)``, 0 is background. If 255 or 65535 is the only other value, it is
                class 1.
            case_id: name of the case, for methods whose noise differs between cases.

        Raises:
            ValueError: If shapes, channels, spatial dimensions, type, values or affines do not fit, if the method has
                no noise for this case, or if less than half of the perturbation arrives, for example because the image
                is smaller than the protector's working grid.
        """
        values = torch.as_tensor(convert_to_tensor(image, track_meta=get_track_meta()))
        if not values.is_floating_point():
            raise ValueError(
                f"The image is of type {values.dtype}, where a change below 1 is lost; scale it to [0, 1] first."
            )
        check_same_place(image, label, "label")
        read = torch.as_tensor(convert_to_tensor(label, track_meta=False))
        classes, outside = split_void(read, self.ignore_label)
        classes = as_class_numbers(classes, num_classes=getattr(self.protector, "num_classes", 2))
        if isinstance(values, MetaTensor):
            values = values.as_tensor()
        values, classes = values.to(self.device), classes.to(self.device)
        gaps = ~torch.isfinite(values).all(dim=0, keepdim=True)
        if gaps.shape == classes.shape and bool((gaps & (classes != 0)).any()):
            raise ValueError(
                "Pixels inside the structure are NaN or infinite; take them out of the label or fill them."
            )
        outside = gaps | outside.to(self.device) if gaps.shape == outside.shape else gaps
        scaled, spacing = values.to(torch.float32).masked_fill(gaps, 0), spacing_of(image)
        perturbation = perturb_as_known(self.protector, scaled, classes, spacing=spacing, levels=None, case_id=case_id)
        delta, bound = perturbation = perturbation.kept_from(outside.cpu().numpy() if outside.any() else None)
        if bound.any():
            change = root_mean_square(delta)
            check_arrival(
                self.protector,
                in_channels_of(scaled, self.protector),
                classes,
                perturbation=perturbation,
                change=change,
                spacing=spacing,
                case_id=case_id,
            )
        protected = add_bounded(values, delta.to(values.dtype), bound.to(values.dtype))
        return convert_to_dst_type(torch.where(outside, values, protected), dst=image)[0]
