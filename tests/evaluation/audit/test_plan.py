"""The plan of an audit: names that exist, every combination once, controls beside what they control."""

from __future__ import annotations

from typing import Any

import pytest

from monai_umed.defenses.registry import DEFENSES, defense_entry
from monai_umed.evaluation.audit.plan import PRESETS, Audit, preset
from monai_umed.evaluation.plan import with_controls
from monai_umed.exploiters.registry import exploiter_names


def audit(**options: Any) -> Audit:
    return Audit("protected", "clean", test_dir="test", **options)


def test_every_exploiter_meets_every_defense_on_protected_and_on_clean_files() -> None:
    plan = audit(exploiters=("unet-batch", "unet-instance"), defenses=("blur-1.0",), seeds=(0, 1))
    cells = plan.cells()
    assert len(cells) == len(set(cells))
    trainings = {(cell.exploiter, cell.defense, cell.data, cell.seed) for cell in cells}
    for exploiter in plan.exploiters:
        for seed in (0, 1):
            assert (exploiter, "none", "untrained", seed) in trainings
            for defense in ("none", "blur-1.0"):
                assert {(exploiter, defense, "protected", seed), (exploiter, defense, "clean", seed)} <= trainings
    assert sum(cell.data.endswith("-half") for cell in cells) == 2


def test_ordinary_training_always_comes_first() -> None:
    assert with_controls(("jpeg-60",)) == ("none", "jpeg-60")
    assert with_controls(("jpeg-60", "none", "jpeg-60")) == ("none", "jpeg-60")


def test_a_partly_protected_set_always_stands_next_to_its_clean_part_alone() -> None:
    assert with_controls(("partly-60",)) == ("none", "partly-60", "clean-40")
    cells = audit(exploiters=("unet-batch",), defenses=("partly-60",)).cells()
    assert {cell.data for cell in cells if cell.defense == "clean-40"} == {"protected"}


def test_a_purifier_is_not_run_on_clean_files_onto_which_it_would_put_a_perturbation() -> None:
    cells = audit(exploiters=("unet-batch",), defenses=("purifier",)).cells()
    assert {cell.data for cell in cells if cell.defense == "purifier"} == {"protected"}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_can_be_planned(name: str) -> None:
    assert audit(**preset(name)).cells()


def test_the_quick_preset_has_three_exploiters_seven_defenses_and_one_seed() -> None:
    assert [len(value) for value in preset("quick").values()] == [3, 7, 1]
    assert "flips+affine" in preset("quick")["defenses"]  # what everybody does


def test_what_the_verdict_counts_is_done_to_protected_and_to_clean_files_alike() -> None:
    assert all(entry.own_ceiling for entry in DEFENSES.values() if entry.cheap)


def test_the_quick_preset_takes_colors_off_where_there_are_some() -> None:
    assert preset("quick", color=True)["defenses"][-2:] == ("grayscale", "color-jitter")
    assert preset("full", color=True) == preset("full")


def test_the_full_preset_has_every_defense_and_every_exploiter() -> None:
    assert set(preset("full")["defenses"]) == set(DEFENSES)
    assert set(preset("full")["exploiters"]) == set(exploiter_names())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"defenses": ("blurr-1.0",)}, r"no defense 'blurr-1.0'. Did you mean 'blur-1.0'"),
        ({"defenses": ("none+jpg-60",)}, r"no defense 'jpg-60'. Did you mean 'jpeg-60'"),
        ({"exploiters": ("unet-bach",)}, "unet-batch"),
        ({"exploiters": ("unet",), "grid": (100, 100)}, "100"),
        ({"seeds": ()}, "at least one"),
        ({"exploiters": ()}, "at least one"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_before_anything_runs(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audit(**options)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="quick, full"):
        preset("quik")


def test_defenses_join_in_order_and_are_as_cheap_as_their_costliest_part() -> None:
    entry = defense_entry("blur-1.0+jpeg-60")
    assert entry.cheap and "blur" in entry.summary.lower() and "jpeg" in entry.summary.lower()
    assert not defense_entry("blur-1.0+purifier").cheap


@pytest.mark.parametrize("name", sorted(DEFENSES))
def test_every_defense_can_be_built_and_says_what_it_does(name: str) -> None:
    assert DEFENSES[name].make(4 / 255)
    assert DEFENSES[name].summary
