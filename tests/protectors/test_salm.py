"""Sparse noise: the share of changed pixels holds for every image, and for the file at its own size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from surrogate_toys import TINY, batch_of, linear_network, toy_items

from monai_umed.protectors.salm import SALM, largest

EPS = TINY["eps"]


def test_the_largest_scores_are_taken_case_by_case_and_zeros_never() -> None:
    score = torch.tensor([[[[4.0, 1.0, 3.0, 2.0]]], [[[0.0, 0.0, 5.0, 0.0]]], [[[1.0, 1.0, 1.0, 1.0]]]])
    expected = [[[[True, False, True, False]]], [[[False, False, True, False]]], [[[True, True, False, False]]]]
    assert torch.equal(largest(score, 0.5), torch.tensor(expected))
    assert torch.equal(largest(score[:1], 0.01), torch.tensor([[[[True, False, False, False]]]]))  # at least one


def test_only_the_pixels_with_the_largest_gradients_move_and_they_do_so_as_in_em() -> None:
    salm = SALM(2, 2, share=0.25, noise_steps=9, num_classes=2, **TINY)
    image, label, bound, noise = batch_of(toy_items(channels=2), EPS)
    network = linear_network(channels=2)
    seen = (image + noise).requires_grad_()
    salm.loss(network, label)(seen).backward()
    assert seen.grad is not None
    chosen = largest(seen.grad.abs().sum(1, keepdim=True), 0.25).expand_as(image)
    moved = salm.move(network, image, label, bound, noise)
    assert torch.equal(moved[~chosen], image[~chosen])
    corner = (image - bound * (2 * label - 1)).clamp(0, 1)
    torch.testing.assert_close(moved[chosen], corner[chosen], rtol=0, atol=2.0**-23)


def test_the_budget_of_pixels_is_not_spent_where_nothing_may_change() -> None:
    salm = SALM(2, 1, share=0.25, bound="roi", **TINY)
    image, label, _, noise = batch_of(toy_items(), EPS)
    bound = EPS * label
    moved = salm.move(linear_network(), image, label, bound, noise) != image
    assert not moved[label == 0].any()
    budget = int(0.25 * 256)
    for case, inside in zip(moved, label, strict=True):
        assert case.sum() == min(budget, int(inside.sum()))


@pytest.mark.filterwarnings("ignore::monai_umed.protectors.NothingChangedWarning")
@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 1), st.integers(9, 41), st.integers(9, 41), st.sampled_from([1, 3]), st.integers(0, 99))
def test_the_file_has_no_more_changed_pixels_than_its_share(
    share: float, height: int, width: int, channels: int, seed: int
) -> None:
    salm = SALM(2, channels, share=share, **TINY)
    generator = torch.Generator().manual_seed(seed)
    stored = torch.randint(-127, 128, (channels, 16, 16), generator=generator).to(torch.int8)
    support = largest(torch.rand(1, 1, 16, 16, generator=generator), share)[0]
    salm.load_state({"a": stored * support})
    image = torch.randint(0, 256, (channels, height, width), generator=generator) / 255
    label = torch.zeros(1, height, width)
    label[:, 3:7, 2:8] = 1
    delta = salm(image, label, levels=255, case_id="a").delta
    changed = ((image + delta) * 255).round() != image * 255
    assert changed.any(dim=0).sum() <= max(1, int(share * height * width))


@pytest.mark.parametrize("share", [0, 1.5, -0.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=rf"share is {share}; it must be above 0 and at most 1"):
        SALM(2, 1, share=share, **TINY)
