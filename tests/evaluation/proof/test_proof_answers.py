"""Answers that cannot be a model's are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_umed.data.case import DatasetError
from monai_umed.evaluation.proof.answers import score_answers
from monai_umed.evaluation.proof.plan import Plan, QueriedCase, Query, pack
from monai_umed.evaluation.proof.reserve import draw_reserve

SHAPE = (20, 30)
COUNT = 12


def small_plan(num_classes: int = 2) -> Plan:
    label = np.zeros(SHAPE, np.uint8)
    label[5:15, 5:15] = num_classes - 1
    names = [f"case {index:02}" for index in range(COUNT)]
    return Plan(
        number=1,
        time="",
        reserve=draw_reserve({name: name for name in names}, 0.5, bytes(32), wanted=0.1),
        cases=tuple(QueriedCase(id=name, features=(0.0,), shape=SHAPE, mask=pack(label)) for name in names),
        drawn=tuple(names),
        total_target=COUNT,
        queries=tuple(Query(name=f"{n:02}.png", case=n, kind="protected", sha256="") for n in range(COUNT)),
        pattern=None,
        keys=0,
        true_key=0,
        num_classes=num_classes,
    )


def answer(folder: Path, value: int = 1) -> Path:
    """Masks of every query that are right but for one row."""
    folder.mkdir()
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:14, 5:15] = value
    for index in range(COUNT):
        Image.fromarray(mask).save(folder / f"{index:02}.png")
    return folder


@pytest.mark.parametrize("value", [1, 255])
def test_masks_are_scored_whatever_number_the_structure_has(tmp_path: Path, value: int) -> None:
    scores = score_answers(small_plan(), answer(tmp_path / "a", value), progress=False)
    assert set(scores.dice.values()) == {round(180 / 190, 6)} and len(scores.dice) == COUNT


def test_probabilities_are_scored_softly_in_any_form(tmp_path: Path) -> None:
    soft = np.full(SHAPE, 0.1, np.float32)
    soft[5:15, 5:15] = 0.7
    for name, values in (("a", soft), ("b", soft[None]), ("c", np.stack([1 - soft, soft]))):
        (tmp_path / name).mkdir()
        for index in range(COUNT):
            np.save(tmp_path / name / f"{index:02}.npy", values)
    (tmp_path / "d").mkdir()
    for index in range(COUNT):
        levels = np.rint(255 * soft[None]).astype(np.uint8)
        np.savez_compressed(tmp_path / "d" / f"{index:02}.npz", probability=levels)
    found = [score_answers(small_plan(), tmp_path / name, progress=False).dice["00.png"] for name in "abcd"]
    assert found == pytest.approx([2 * 70 / (70 + 50 + 100)] * 4, abs=0.01)


def test_classes_count_alike(tmp_path: Path) -> None:
    folder = answer(tmp_path / "a", 2)
    assert score_answers(small_plan(3), folder, progress=False).dice["00.png"] == pytest.approx((1 + 180 / 190) / 2)


def test_a_few_missing_answers_are_left_out_by_name_and_many_are_refused(tmp_path: Path) -> None:
    folder = answer(tmp_path / "a")
    (folder / "03.png").unlink()
    assert score_answers(small_plan(), folder, progress=False).missing == ("03.png",)
    (folder / "04.png").unlink()
    with pytest.raises(DatasetError, match=r"03.png: it has no prediction[^$]*04.png: it has no prediction"):
        score_answers(small_plan(), folder, progress=False)


def test_the_test_that_may_be_stopped_takes_answers_in_order_alone(tmp_path: Path) -> None:
    folder = answer(tmp_path / "a")
    for index in range(5, COUNT):
        (folder / f"{index:02}.png").unlink()
    assert len(score_answers(small_plan(), folder, some=True, progress=False).dice) == 5
    (folder / "02.png").unlink()
    with pytest.raises(DatasetError, match=r"03.png: answered although 02.png was not"):
        score_answers(small_plan(), folder, some=True, progress=False)


def test_no_folder_and_no_answer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        score_answers(small_plan(), tmp_path / "none", progress=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"00.png: it has no prediction"):
        score_answers(small_plan(), tmp_path / "empty", some=True, progress=False)


def _size(folder: Path) -> None:
    Image.fromarray(np.zeros((20, 31), np.uint8)).save(folder / "02.png")


def _turned(folder: Path) -> None:
    Image.fromarray(np.zeros((30, 20), np.uint8)).save(folder / "02.png")


def _empty_file(folder: Path) -> None:
    (folder / "02.png").write_bytes(b"")


def _all_empty(folder: Path) -> None:
    for index in range(COUNT):
        Image.fromarray(np.zeros(SHAPE, np.uint8)).save(folder / f"{index:02}.png")


def _soft_among_masks(folder: Path) -> None:
    (folder / "02.png").unlink()
    np.save(folder / "02.npy", np.full(SHAPE, 0.5))


def _other_number(folder: Path) -> None:
    Image.fromarray(np.full(SHAPE, 255, np.uint8)).save(folder / "02.png")


def _gray(folder: Path) -> None:
    Image.fromarray(np.full(SHAPE, 7, np.uint8)).save(folder / "02.png")


def _twice(folder: Path) -> None:
    np.save(folder / "02.npy", np.zeros(SHAPE))


def _not_finite(folder: Path) -> None:
    (folder / "02.png").unlink()
    np.save(folder / "02.npy", np.full(SHAPE, np.nan))


def _logits(folder: Path) -> None:
    (folder / "02.png").unlink()
    np.save(folder / "02.npy", np.full(SHAPE, -3.5))


def _pickle(folder: Path) -> None:
    (folder / "02.png").unlink()
    np.save(folder / "02.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_size, r"02.png: its shape is \(1, 20, 31\), that of the query \(20, 30\)"),
        (_turned, "its axes are exchanged"),
        (_empty_file, "02.png: cannot be read"),
        (_all_empty, "all 12 predictions are empty"),
        (_soft_among_masks, r"00.png \(a mask .* number 1\) and 02.npy \(probabilities\) are mixed"),
        (_other_number, r"00.png .* number 1\) and 02.png \(a mask .* number 255\) are mixed"),
        (_gray, "02.png: it holds the values 7, expected 0 and 1, or 0 and 255"),
        (_twice, "02.npy and 02.png answer one query|02.png and 02.npy answer one query"),
        (_not_finite, "02.npy: it holds NaN or infinity"),
        (_logits, "02.npy: its values reach from -3.5 to -3.5, neither classes nor probabilities"),
        (_pickle, "02.npy: Object arrays cannot be loaded"),
    ],
)
def test_what_cannot_be_an_answer_is_refused_by_name(tmp_path: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    folder = answer(tmp_path / "a")
    spoil(folder)
    with pytest.raises(DatasetError, match=message):
        score_answers(small_plan(), folder, progress=False)
