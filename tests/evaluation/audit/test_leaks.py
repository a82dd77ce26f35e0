"""Which test images are found in the training set, and which are left alone."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import uniform_filter
from torch.nn import functional as F

from monai_umed.evaluation.audit.leaks import THRESHOLD, Leak, correlate, find_leaks, local_contrast


def make_images(count: int, *size: int, seed: int = 0) -> torch.Tensor:
    """Blobs of several sizes in [0.1, 0.9], ``(count, 1, *size)``, with the falling spectrum of natural images."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, 1, *size)
    mode = "bilinear" if len(size) == 2 else "trilinear"
    for factor in (2, 4, 8, 16):
        coarse = torch.rand(count, 1, *[max(2, side // factor) for side in size], generator=generator)
        images += factor * F.interpolate(coarse, size=size, mode=mode, align_corners=False)
    low, high = images.amin(), images.amax()
    return 0.1 + 0.8 * (images - low) / (high - low)


def items(images: torch.Tensor, prefix: str) -> list[dict[str, Any]]:
    return [{"id": f"{prefix}{number}", "image": image} for number, image in enumerate(images)]


def jpeg(images: torch.Tensor, quality: int) -> torch.Tensor:
    decoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray((image[0] * 255).round().byte().numpy()).save(buffer, "JPEG", quality=quality)
        decoded.append(torch.from_numpy(np.array(Image.open(buffer))))
    return torch.stack(decoded)[:, None] / 255


def perturb(images: torch.Tensor) -> torch.Tensor:
    """The most that protection may do: plus or minus 4/255, in squares of two pixels, everywhere."""
    sign = torch.randn(len(images), 1, 64, 64, generator=torch.Generator().manual_seed(1)).sign()
    return (images + 4 / 255 * F.interpolate(sign, scale_factor=2.0)).clamp(0, 1)


def halve(images: torch.Tensor) -> torch.Tensor:
    return F.interpolate(F.interpolate(images, scale_factor=0.5, mode="area"), scale_factor=2.0, mode="bilinear")


COPIES = {
    "same": lambda images: images,
    "perturbed": perturb,
    "jpeg at 75": lambda images: jpeg(images, 75),
    "half the size": halve,
    "darker": lambda images: images * 0.5,
    "less contrast": lambda images: images * 0.4 + 0.3,
    "gamma": lambda images: images**1.3,
    "in color": lambda images: images.repeat(1, 3, 1, 1),
    "moved": lambda images: images.roll((2, -2), (2, 3)),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_under_other_names_are_found(name: str) -> None:
    images = make_images(12, 128, 128)
    leaks = find_leaks(items(images, "train"), items(COPIES[name](images[[3, 7]]), "test"))
    assert {(leak.test_id, leak.train_id) for leak in leaks} == {("test0", "train3"), ("test1", "train7")}
    assert all(THRESHOLD < leak.correlation <= 1 for leak in leaks)


def test_equal_names_are_no_leak() -> None:
    images = make_images(20, 128, 128)
    assert find_leaks(items(images[:10], "case"), items(images[10:], "case")) == []


def test_images_of_one_anatomy_are_no_leak_although_they_correlate() -> None:
    anatomy, details = make_images(1, 128, 128, seed=1), make_images(40, 128, 128)
    images = 0.8 * F.interpolate(F.interpolate(anatomy, size=(8, 8), mode="area"), size=(128, 128), mode="bilinear")
    images = images + 0.2 * (details - F.avg_pool2d(details, 33, 1, 16, count_include_pad=False)) + 0.1
    first, second = images[:20], images[20:]
    assert np.corrcoef(first.flatten(1).numpy(), second.flatten(1).numpy())[:20, 20:].max() > 0.9
    assert find_leaks(items(first, "train"), items(second, "test")) == []


def test_each_test_image_is_reported_once_with_the_image_most_like_it_and_the_surest_first() -> None:
    images = make_images(4, 128, 128)
    train = torch.cat([images, jpeg(images[:1], 20), images[1:2] * 0.9])
    leaks = find_leaks(items(train, "train"), items(torch.stack([halve(images[2:3])[0], images[0]]), "test"))
    assert [(leak.test_id, leak.train_id) for leak in leaks] == [("test1", "train0"), ("test0", "train2")]
    assert leaks[0].correlation == pytest.approx(1, abs=1e-5) and leaks[0].correlation > leaks[1].correlation


def test_the_order_of_the_items_does_not_matter() -> None:
    images = make_images(10, 64, 64)
    train, test = items(images, "train"), items(images[2:6], "test")
    leaks, other = find_leaks(train, test), find_leaks(train[::-1], test[::-1])
    assert {(leak.test_id, leak.train_id) for leak in leaks} == {(leak.test_id, leak.train_id) for leak in other}
    assert len(leaks) == 4


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 1), st.floats(0, 1))
def test_brightness_and_contrast_of_either_side_do_not_matter(scale: float, share: float) -> None:
    images = make_images(4, 64, 64)
    changed = images * scale + share * (1 - scale)
    expected = correlate(images, images)
    for found in (correlate(changed, images), correlate(images, changed), correlate(changed, changed)):
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_leaks_are_found_in_volumes() -> None:
    volumes = make_images(6, 32, 40, 36)
    noise = 4 / 255 * torch.randn(1, 1, 32, 40, 36, generator=torch.Generator().manual_seed(1)).sign()
    leaks = find_leaks(items(volumes[:5], "train"), items(torch.cat([volumes[1:2] + noise, volumes[5:]]), "test"))
    assert [(leak.test_id, leak.train_id) for leak in leaks] == [("test0", "train1")]


def test_convention_images_without_structure_are_like_nothing() -> None:
    flat = torch.full((2, 1, 64, 64), 0.3)
    assert find_leaks(items(torch.cat([flat, make_images(2, 64, 64)]), "train"), items(flat, "test")) == []


def test_convention_flipped_copies_are_not_found() -> None:
    images = make_images(5, 128, 128)
    assert find_leaks(items(images, "train"), items(images.flip(-1), "test")) == []


def test_convention_the_threshold_itself_is_a_leak() -> None:
    images = make_images(3, 128, 128)
    train, test = items(images, "train"), items(jpeg(images[:1], 30), "test")
    [leak] = find_leaks(train, test)
    assert find_leaks(train, test, threshold=leak.correlation) == [leak]
    assert find_leaks(train, test, threshold=leak.correlation + 1e-6) == []
    assert leak == Leak("test0", "train0", leak.correlation)


def test_local_contrast_agrees_with_scipy_away_from_the_border() -> None:
    image = make_images(1, 64, 64)
    gray = image[0, 0].double().numpy()
    detail = gray - uniform_filter(gray, 5)
    found = local_contrast(image)[0, 0].double().numpy()
    inner = slice(4, -4)
    ratio = (detail / found)[inner, inner]  # what the detail was divided by
    rest = ratio - np.sqrt(uniform_filter(detail**2, 5))[inner, inner]
    trusted = np.abs(detail[inner, inner]) > 1e-3
    assert rest[trusted].mean() > 0 and rest[trusted].std() < 1e-3 * rest[trusted].mean()


GOOD = items(make_images(2, 32, 32), "good")


@pytest.mark.parametrize(
    ("train", "test", "threshold", "message"),
    [
        ([], GOOD, 0.7, "train has no items"),
        (GOOD, [], 0.7, "test has no items"),
        (
            GOOD,
            items(make_images(2, 32, 40), "x"),
            0.7,
            r"Test images have size \(32, 40\), training images \(32, 32\)",
        ),
        (GOOD + items(make_images(1, 16, 16), "x"), GOOD, 0.7, "Images of train have 2 sizes"),
        (GOOD, items(torch.rand(2, 1, 32), "x"), 0.7, r"Images of test have size \(32,\); 2 or 3 axes"),
        (GOOD, items(torch.rand(2, 1, 32, 3), "x"), 0.7, "at least 4 pixels"),
        (GOOD, GOOD, 0, "threshold is 0; it must be above 0 and at most 1"),
        (GOOD, GOOD, 70, "threshold is 70"),
    ],
)
def test_what_cannot_be_compared_is_refused(train: list, test: list, threshold: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_leaks(train, test, threshold)
