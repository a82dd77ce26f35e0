"""What the base class does for all methods: slices, warnings, bookkeeping."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from protected_folder import small_protector

from monai_umed.protectors import BoundedProtector, Needs, NothingChangedWarning
from monai_umed.protectors.controls import Identity, Uniform
from monai_umed.protectors.stamps import ConstantStamp
from monai_umed.release.run_digest import run_digest

EPS = 4 / 255


class Recorder(BoundedProtector):
    """A method that notes what it is asked."""

    needs = Needs.nothing
    protects_new_images = True
    paper = "none"

    def __init__(self, *arguments: Any, factor: float = 1, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.factor = factor
        self.seen: list[tuple[str | None, tuple[int, ...], list[float]]] = []

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        self.seen.append((case_id, tuple(image.shape), label.unique().tolist()))
        return torch.full_like(image, self.factor)


def make_case(*size: int) -> tuple[torch.Tensor, torch.Tensor]:
    label = torch.zeros(1, *size)
    label[(slice(None), *(slice(side // 4, side // 2) for side in size))] = 1
    return torch.full((1, *size), 0.5), label


def test_a_method_sees_image_and_label_on_the_working_grid_and_the_name_of_the_case() -> None:
    protector = Recorder(2, 1, size=(16, 8))
    protector(*make_case(33, 40), case_id="a")
    assert protector.seen == [("a", (1, 16, 8), [0, 1])]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_with_foreground_go_by_the_name_of_the_case_and_their_number(axis: int) -> None:
    protector = Recorder(2, 1, size=(8, 8), slice_axis=axis)
    delta, _ = protector(*make_case(12, 16, 20), case_id="a")
    first, end = ((3, 6), (4, 8), (5, 10))[axis]
    assert [name for name, *_ in protector.seen] == [f"a:{index}" for index in range(first, end)]
    touched = delta.abs().amax(dim=[other for other in range(4) if other != axis + 1]) > 0
    assert torch.nonzero(touched).flatten().tolist() == list(range(first, end))


def test_noise_in_units_of_eps_is_clipped_at_the_bound() -> None:
    for factor, expected in ((0.5, 0.5), (1, 1), (-3, -1)):
        delta, bound = Recorder(2, 1, eps=EPS, size=(8, 8), factor=factor)(*make_case(20, 20))
        torch.testing.assert_close(delta, torch.full_like(delta, expected * EPS))
        torch.testing.assert_close(bound, torch.full_like(bound, EPS))


def test_a_budget_below_one_grey_level_warns_and_says_the_cure() -> None:
    with pytest.warns(NothingChangedWarning, match=r"below one gray level of its file, 0\.003922; raise eps, now 0.00"):
        delta, bound = Recorder(2, 1, eps=0.9 / 255, size=(8, 8))(*make_case(20, 20), levels=255)
    assert not delta.any() and not bound.any()


@pytest.mark.parametrize(("factor", "levels"), [(0, None), (0.1, 255)])
def test_noise_that_no_file_can_hold_warns(factor: float, levels: float | None) -> None:
    with pytest.warns(NothingChangedWarning, match="too little for this file; raise eps or check the method"):
        Recorder(2, 1, eps=EPS, size=(8, 8), factor=factor)(*make_case(20, 20), levels=levels)


def test_a_volume_warns_once_for_all_its_slices() -> None:
    with pytest.warns(NothingChangedWarning) as caught:
        Recorder(2, 1, size=(8, 8), factor=0, slice_axis=0)(*make_case(12, 12, 12))
    assert len(caught) == 1


def test_where_nothing_may_change_nothing_is_warned_of() -> None:
    image, label = make_case(20, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ConstantStamp(2, 1, size=(8, 8))(image, torch.zeros_like(label), levels=255)
        Identity(2, 1, size=(8, 8))(image, label, levels=255)


def test_random_numbers_depend_on_seed_and_case() -> None:
    cases = [(0, "a"), (0, "b"), (1, "a"), (0, None), (0, "")]

    def draw(seed: int, case_id: str | None) -> float:
        return torch.rand(1, generator=Uniform(2, 1, size=(8, 8), seed=seed).generator(case_id)).item()

    first = [draw(*case) for case in cases]
    assert first == [draw(*case) for case in cases] and len(set(first)) == len(cases)


def test_a_method_that_draws_for_each_case_asks_for_its_name() -> None:
    with pytest.raises(ValueError, match="Uniform draws new noise for each case; pass case_id"):
        Uniform(2, 1, size=(8, 8))(*make_case(20, 20))


def test_arguments_that_are_passed_on_are_settings_too() -> None:
    protector = ConstantStamp(2, 3, period=6, eps=EPS, size=[8, 8], seed=5)
    assert protector.settings() == {
        "spatial_dims": 2,
        "in_channels": 3,
        "period": 6.0,
        "pattern": "grating",
        "bound": "roi",
        "eps": EPS,
        "size": (8, 8),
        "num_classes": 2,
        "seed": 5,
        "slice_axis": None,
        "native": False,
    }


def test_what_needs_nothing_is_fitted_and_has_no_state() -> None:
    protector = Uniform(2, 1, size=(8, 8))
    protector.fit([])
    assert protector.fitted and protector.state() == {}
    with pytest.raises(ValueError, match="Uniform is not fitted, so it has no use for weight"):
        protector.load_state({"weight": torch.zeros(1)})


def test_umed_says_how_its_generators_are_fitted() -> None:
    with pytest.raises(ValueError, match="fitted by `monai-umed fit`"):
        small_protector().fit([])


class Fitted(Identity):
    """A method that keeps tensors in a dictionary and in a list."""

    def __init__(self, value: float) -> None:
        super().__init__(2, 1, size=(8, 8))
        self.value = 0
        self.noise_of = {"a": torch.tensor(value)}
        self.networks = [torch.nn.Identity(), torch.tensor(value)]


def test_the_digest_sees_tensors_in_dictionaries_and_lists_and_options_of_the_bound() -> None:
    known = [run_digest(Fitted(value)) for value in (0.0, 1.0)]
    known += [run_digest(Identity(2, 1, bound={"text": "band", "band_radius": radius})) for radius in (2, 3)]
    assert known[0] == run_digest(Fitted(0.0)) and known[2] == run_digest(Identity(2, 1, bound="band"))
    assert len(set(known)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (8, 8, 8)}, r"size is \(8, 8, 8\); give 2 positive numbers"),
        ({"size": (8, 0)}, r"size is \(8, 0\)"),
        ({"num_classes": 1}, "num_classes is 1; it must be at least 2"),
        ({"native": "false"}, "native is .false.; use True or False"),
        ({"eps": 4}, "write 4/255"),
        ({"bound": "rio"}, "Did you mean 'roi'"),
        ({"slice_axis": 3}, "slice_axis is 3"),
    ],
)
def test_arguments_out_of_range_are_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Uniform(2, 1, **arguments)
