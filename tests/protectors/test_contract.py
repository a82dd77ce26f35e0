"""What every method in the table promises.

In 2D and 3D, for gray and color images, for two classes and three, on images that are resampled to the working grid and
in windows of native pixels.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from monai_umed.data.patches import tile
from monai_umed.data.slices import window_id
from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import PROTECTORS, Needs, Protector, UMed, protector_class
from monai_umed.protectors.checkpoint import load_protector, save_protector

SIDE = 16  # of the working grid
LEVELS = 255
EPS = 8 / 255
ROUNDING = 2.0**-24  # half an ulp of differences of two float32 numbers in [0, 1]

# Fits of a moment; a method takes those of these arguments that it knows.
TINY: dict[str, Any] = {
    "channels": (4, 8),
    "batch_size": 4,
    "generator_channels": (4, 8),
    "epochs": 2,
    "checkpoints": 2,
    "passes": 1,
    "rounds": 1,
    "surrogate_steps": 1,
    "noise_steps": 1,
    "steps": 1,
    "amp": False,
}


class Setting(NamedTuple):
    """A method and the kind of images that it sees."""

    name: str
    spatial_dims: int
    in_channels: int
    num_classes: int
    native: bool = False

    def __str__(self) -> str:
        colors, grid = "rgb" if self.in_channels == 3 else "gray", "-native" if self.native else ""
        return f"{self.name}-{self.spatial_dims}D-{colors}-{self.num_classes}{grid}"


COLORS = {name: 3 if protector_class(name).needs_color else 1 for name in PROTECTORS}
"""The least channels that a method takes."""

RESAMPLED = [
    Setting(name, dims, channels, classes)
    for name in PROTECTORS
    for dims in (2, 3)
    for channels in sorted({COLORS[name], 3})
    for classes in (2, 3)
]
NATIVE = [Setting(name, dims, COLORS[name], 2, native=True) for name in PROTECTORS for dims in (2, 3)]
SETTINGS = [*RESAMPLED, *NATIVE]
every_protector = pytest.mark.parametrize("setting", SETTINGS, ids=str)


def make_case(setting: Setting, index: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of all grey levels with both ends of the range, and a box with a core of the next class."""
    size = (21 + index, 18, 13)[: setting.spatial_dims]
    generator = torch.Generator().manual_seed(index)
    image = torch.randint(0, LEVELS + 1, (setting.in_channels, *size), generator=generator) / LEVELS
    label = torch.zeros((1, *size), dtype=torch.uint8)
    label[(slice(None), *(slice(side // 4, side - side // 4) for side in size))] = 1
    label[(slice(None), *(slice(side // 3, side - side // 3) for side in size))] = setting.num_classes - 1
    return image, label


def case_id(index: int) -> str:
    return f"case {index}"


def make_protector(setting: Setting) -> Protector:
    cls = protector_class(setting.name)
    size = (SIDE,) * setting.spatial_dims
    if cls is UMed:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = UMedPerturbator(setting.spatial_dims, setting.in_channels, features=(4, 6), patch=2).eval()
        return UMed(network, size, EPS, native=setting.native)
    known = {name: value for name, value in TINY.items() if name in cls.argument_names()}
    arguments = {"eps": EPS, "size": size, "num_classes": setting.num_classes, "native": setting.native, **known}
    return cls.from_settings({"spatial_dims": setting.spatial_dims, "in_channels": setting.in_channels, **arguments})


def windows_of(item: dict, size: tuple[int, ...]) -> list[dict]:
    """What ``layout="windows"`` makes of a case."""
    images, labels = tile(item["image"], size), tile(item["label"], size)
    pairs = enumerate(zip(images, labels, strict=True))
    return [
        {"id": window_id(item["id"], index, len(images)), "image": image, "label": label}
        for index, (image, label) in pairs
    ]


def fit_new(setting: Setting) -> Protector:
    protector = make_protector(setting)
    if not protector.fitted:
        cases = ((case_id(index), *make_case(setting, index)) for index in range(4))
        items = [{"id": name, "image": image, "label": label.float()} for name, image, label in cases]
        if setting.native:
            items = [window for item in items for window in windows_of(item, (SIDE,) * setting.spatial_dims)]
        protector.fit(items, progress=False)
    return protector


fitted = lru_cache(maxsize=None)(fit_new)


def protect(protector: Protector, setting: Setting, index: int = 0) -> torch.Tensor:
    return protector(*make_case(setting, index), levels=LEVELS, case_id=case_id(index)).delta


@every_protector
def test_no_pixel_moves_beyond_its_bound_or_leaves_the_range_and_inputs_stay(setting: Setting) -> None:
    image, label = make_case(setting)
    copies = image.clone(), label.clone()
    delta, bound = fitted(setting)(image, label, levels=LEVELS, case_id=case_id(0))
    assert torch.equal(image, copies[0]) and torch.equal(label, copies[1])
    assert delta.shape == image.shape and bound.shape == (1, *image.shape[1:])
    assert (delta.abs() <= bound + ROUNDING).all()
    assert bound.max() <= EPS * (1 + 2 * ROUNDING) + 1e-3 / LEVELS
    assert (image + delta).min() >= 0 and (image + delta).max() <= 1


@every_protector
@pytest.mark.filterwarnings("error::monai_umed.protectors.NothingChangedWarning")
def test_the_file_changes_and_that_of_the_identity_does_not(setting: Setting) -> None:
    delta = protect(fitted(setting), setting)
    assert (delta.abs().max() * LEVELS >= 0.5) == (setting.name != "identity")


@every_protector
def test_where_the_bound_is_zero_nothing_changes(setting: Setting) -> None:
    protector = fitted(setting)
    delta, bound = protector(*make_case(setting), levels=LEVELS, case_id=case_id(0))
    assert not delta[(bound == 0).expand_as(delta)].any()


@every_protector
def test_the_same_seed_gives_the_same_bits(setting: Setting) -> None:
    first, second = (protect(protector, setting) for protector in (fitted(setting), fit_new(setting)))
    assert torch.equal(first, second)


@every_protector
def test_a_case_does_not_depend_on_those_before_it(setting: Setting) -> None:
    protector = fitted(setting)
    forth = [protect(protector, setting, index) for index in (0, 1)]
    back = [protect(protector, setting, index) for index in (1, 0)]
    assert all(torch.equal(*pair) for pair in zip(forth, reversed(back), strict=True))


@every_protector
def test_a_loaded_protector_gives_the_same_delta(setting: Setting, tmp_path: Path) -> None:
    loaded = load_protector(save_protector(tmp_path / "protector.pt", fitted(setting)))
    assert repr(loaded) == repr(fitted(setting))
    assert torch.equal(protect(loaded, setting), protect(fitted(setting), setting))


@every_protector
def test_the_repr_makes_the_same_protector(setting: Setting) -> None:
    classes: list[type] = [UMedPerturbator, *map(protector_class, PROTECTORS)]
    names = {cls.__name__: cls for cls in classes}
    shown = repr(make_protector(setting))
    assert repr(eval(shown, names)) == shown


@pytest.mark.parametrize("name", PROTECTORS)
def test_a_method_says_what_it_needs_and_where_it_comes_from(name: str) -> None:
    protector = make_protector(Setting(name, 2, COLORS[name], 2))
    assert isinstance(protector.needs, Needs) and isinstance(protector.protects_new_images, bool)
    assert protector.paper and type(protector).__doc__
    assert protector.fitted == (protector.needs is Needs.nothing or name == "umed")


@pytest.mark.parametrize("name", [name for name in PROTECTORS if name != "umed"])
def test_a_method_that_needs_a_fit_is_refused_without_one(name: str) -> None:
    setting = Setting(name, 2, COLORS[name], 2)
    protector = make_protector(setting)
    if protector.fitted:
        assert protect(protector, setting).shape == (COLORS[name], 21, 18)
        return
    with pytest.raises(ValueError, match=r"needs a (surrogate|fit) first; call fit\(\) with the training set, or load"):
        protect(protector, setting)


@pytest.mark.parametrize("name", [name for name in PROTECTORS if name != "umed"])
@pytest.mark.parametrize("bound", ["roi", "band", "lbp", "band*roi", "roi*lbp"])
def test_every_method_takes_every_bound(name: str, bound: str) -> None:
    setting = Setting(name, 2, COLORS[name], 2)
    plain = make_protector(setting)
    protector = type(plain).from_settings({**plain.settings(), "bound": bound})
    protector.load_state(fitted(setting).state())
    image, label = make_case(setting)
    delta, _ = protector(image, label, levels=LEVELS, case_id=case_id(0))
    assert not delta[(protector.bounds(image, label) == 0).expand_as(delta)].any()
    assert delta.any() == (name != "identity")
    assert repr(protector).count(f"bound='{bound}'") == 1


@pytest.mark.parametrize("name", [name for name in PROTECTORS if name != "umed"])
def test_a_mask_with_more_classes_than_the_protector_knows_is_refused(name: str) -> None:
    image, label = make_case(Setting(name, 2, COLORS[name], 3))
    with pytest.raises(ValueError, match=r"has class 2, the protector was made for 2 classes .* num_classes=3"):
        fitted(Setting(name, 2, COLORS[name], 2))(image, label, case_id=case_id(0))


@pytest.mark.parametrize("name", PROTECTORS)
def test_new_images_are_protected_or_refused_as_the_method_says(name: str) -> None:
    setting = Setting(name, 2, COLORS[name], 2)
    protector = fitted(setting)
    if protector.protects_new_images:
        assert protect(protector, setting, 7).shape == (COLORS[name], 28, 18)
        return
    with pytest.raises(ValueError, match=r"case 7.*[Ff]it"):
        protect(protector, setting, 7)
