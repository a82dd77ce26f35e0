"""Central-difference convolution equals Eq. 3 of UMed term by term, in its values and its gradients."""

from itertools import product

import pytest
import torch
from torch.nn import functional as F

from monai_umed.networks import CentralDifferenceConv

SHAPES = [(2, 1, 2, (5, 7)), (2, 3, 4, (6, 4)), (2, 2, 1, (1, 1)), (3, 1, 2, (4, 3, 5)), (3, 2, 3, (3, 3, 2))]


def make_case(
    spatial_dims: int, in_channels: int, out_channels: int, size: tuple[int, ...]
) -> tuple[CentralDifferenceConv, torch.Tensor]:
    torch.manual_seed(0)
    conv = CentralDifferenceConv(spatial_dims, in_channels, out_channels).double()
    torch.nn.init.normal_(conv.bias)  # type: ignore[arg-type]
    return conv, torch.randn((2, in_channels, *size), dtype=torch.float64)


def tap(kernel: torch.Tensor, step: tuple[int, ...]) -> torch.Tensor:
    """One entry of a kernel for every pair of channels, shape ``(out_channels, in_channels)``."""
    for index in reversed(step):
        kernel = kernel[..., index]
    return kernel


def equation_3(
    image: torch.Tensor, vanilla: torch.Tensor, difference: torch.Tensor, bias: torch.Tensor, sign: int = -1
) -> torch.Tensor:
    """The explicit sum over nine (27) shifted copies of the image; ``sign=1`` adds absolute values instead.

    Outside the image reads zero, so a difference there is minus the central pixel. PyTorch's kernels are indexed by
    where they read (cross-correlation): entry ``step`` belongs to the paper's Delta = -step.
    """
    size = image.shape[2:]
    padded = F.pad(image, [1] * 2 * len(size))
    result = bias.reshape(1, -1, *[1] * len(size)).expand(image.shape[0], -1, *size).clone()
    for step in product(range(3), repeat=len(size)):
        shifted = padded
        for axis, (start, length) in enumerate(zip(step, size, strict=True), start=2):
            shifted = shifted.narrow(axis, start, length)
        result += torch.einsum("oi,bi...->bo...", tap(vanilla, step), shifted)
        result += torch.einsum("oi,bi...->bo...", tap(difference, step), shifted + sign * image)
    return result


def rounding_limit(conv: CentralDifferenceConv, image: torch.Tensor) -> torch.Tensor:
    """Error of any order of summation: number of terms times 2**-53 times the sum of their absolute values.

    Folding adds up to 27 additions per kernel entry, hence twice the terms; both sides round, hence twice again.
    """
    assert conv.bias is not None
    terms = 3 * 3**conv.spatial_dims * image.shape[1] + 1
    size = equation_3(image.abs(), conv.vanilla.abs(), conv.difference.abs(), conv.bias.abs(), sign=1)
    return 4 * terms * 2.0**-53 * size


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_output_is_the_explicit_sum_of_equation_3_with_zero_padding(
    shape: tuple[int, int, int, tuple[int, ...]],
) -> None:
    conv, image = make_case(*shape)
    assert conv.bias is not None
    expected = equation_3(image, conv.vanilla, conv.difference, conv.bias)
    result = conv(image)
    assert result.shape == (2, shape[2], *shape[3])
    assert ((result - expected).abs() <= rounding_limit(conv, image)).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_are_those_of_two_separate_convolutions(shape: tuple[int, int, int, tuple[int, ...]]) -> None:
    conv, image = make_case(*shape)
    image.requires_grad_()
    assert conv.bias is not None
    inputs = (image, conv.vanilla, conv.difference, conv.bias)
    convolve = F.conv2d if shape[0] == 2 else F.conv3d
    center = conv.difference.sum(dim=tuple(range(2, conv.difference.ndim)), keepdim=True)
    separate = (
        convolve(image, conv.vanilla, conv.bias, padding=1)
        + convolve(image, conv.difference, padding=1)
        - convolve(image, center)
    )
    weight = torch.randn_like(separate)
    expected = torch.autograd.grad((separate * weight).sum(), inputs)
    result = torch.autograd.grad((conv(image) * weight).sum(), inputs)
    for got, wanted in zip(result, expected, strict=True):
        # sums of at most 2 * 60 pixels or 2 * 4 * 27 taps: error below 2**-53 * terms * sum of |terms| <= 8 * terms
        torch.testing.assert_close(got, wanted, rtol=0, atol=216 * 216 * 8 * 2.0**-53)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_without_difference_kernel_it_is_the_ordinary_convolution(spatial_dims: int) -> None:
    conv, image = make_case(spatial_dims, 2, 3, (5,) * spatial_dims)
    torch.nn.init.zeros_(conv.difference)
    plain = F.conv2d if spatial_dims == 2 else F.conv3d
    assert torch.equal(conv(image), plain(image, conv.vanilla, conv.bias, padding=1))


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_the_difference_part_ignores_brightness_inside_the_image(spatial_dims: int) -> None:
    conv, image = make_case(spatial_dims, 2, 3, (6,) * spatial_dims)
    torch.nn.init.zeros_(conv.vanilla)
    inside = (slice(None), slice(None)) + (slice(1, -1),) * spatial_dims
    change = (conv(image + 0.25) - conv(image))[inside]
    assert (change.abs() <= rounding_limit(conv, image.abs() + 0.25)[inside]).all()


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_it_scripts_and_the_kernels_are_all_that_is_stored(spatial_dims: int, bias: bool) -> None:
    conv = CentralDifferenceConv(spatial_dims, 2, 3, bias=bias)
    image = torch.randn((1, 2) + (5,) * spatial_dims, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.jit.script(conv)(image), conv(image))
    assert set(conv.state_dict()) == {"vanilla", "difference"} | ({"bias"} if bias else set())


@pytest.mark.parametrize("spatial_dims", [1, 4])
def test_other_than_two_or_three_axes_are_refused(spatial_dims: int) -> None:
    with pytest.raises(ValueError, match=f"spatial_dims is {spatial_dims}; it must be 2 or 3"):
        CentralDifferenceConv(spatial_dims, 1, 1)
