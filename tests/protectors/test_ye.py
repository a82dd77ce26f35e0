"""Ye et al.'s strategies are the methods that our reading takes them for, and say so."""

from __future__ import annotations

import pytest
import torch
from surrogate_toys import TINY, toy_items

from monai_umed.protectors import Protector
from monai_umed.protectors.em import EM, ClassWiseEM
from monai_umed.protectors.lsp import LSP
from monai_umed.protectors.ye import YeClassWise, YeSampleWise, YeSynthetic


@pytest.mark.parametrize(("ours", "known"), [(YeSampleWise, EM), (YeClassWise, ClassWiseEM), (YeSynthetic, LSP)])
def test_a_strategy_gives_the_noise_of_its_family_and_is_labeled_as_our_reading(
    ours: type[Protector], known: type[Protector]
) -> None:
    assert "2303.02559 (our reading)" in ours.paper and known.paper != ours.paper
    short = {"rounds": 1, "surrogate_steps": 1, **TINY} if known is not LSP else {"size": TINY["size"]}
    items, deltas = toy_items(), []
    for method in (ours, known):
        protector = method(2, 1, **short)
        protector.fit(items, progress=False)
        deltas.append(protector(items[0]["image"], items[0]["label"], case_id="case 0").delta)
    assert torch.equal(*deltas)
