"""What is sealed stays so: reserves, plans and logs tell a wrong key and every change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.phantom import write_phantom
from monai_umed.evaluation.proof.groups import SAME, check_leaks, join, near_duplicates, read_groups
from monai_umed.evaluation.proof.log import LOG, append_log, read_log
from monai_umed.evaluation.proof.reserve import RESERVE, Reserve, draw_reserve, smallest_p
from monai_umed.io.raster import decode_png
from monai_umed.sealing.sealed_json import ProofError, open_json, seal_json

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def alone(count: int) -> dict[str, str]:
    return {f"case {index}": f"case {index}" for index in range(count)}


def test_a_sealed_file_opens_with_its_key_for_its_purpose_alone() -> None:
    sealed = seal_json({"a": [1, 2.5, "ü"]}, KEY, "plan")
    assert open_json(sealed, KEY, "plan", name="x") == {"a": [1, 2.5, "ü"]}
    with pytest.raises(ProofError, match="x: sealed with another key"):
        open_json(sealed, OTHER, "plan", name="x")
    with pytest.raises(ProofError, match="x: changed after it was sealed"):
        open_json(sealed, KEY, "reserve", name="x")
    for index in range(0, len(sealed), 7):
        changed = bytearray(sealed)
        changed[index] ^= 1
        with pytest.raises(ProofError):
            open_json(bytes(changed), KEY, "plan", name="x")
    with pytest.raises(ProofError, match="no sealed file"):
        open_json(sealed[:30], KEY, "plan", name="x")


def test_the_key_draws_the_same_reserve_on_every_computer() -> None:
    drawn = draw_reserve(alone(20), 0.2, KEY, wanted=0.01)
    assert drawn.held_back == ("case 19", "case 3", "case 4", "case 8")
    assert drawn.drawn_by(KEY) and not drawn.drawn_by(OTHER)


def test_a_reserve_comes_back_and_its_commitment_binds_every_part_of_it(tmp_path: Path) -> None:
    drawn = draw_reserve(alone(40), 0.3, KEY)
    drawn.save(tmp_path, KEY)
    again = Reserve.load(tmp_path, KEY)
    assert again == drawn and again.commitment == drawn.commitment
    for other in (
        replace(drawn, held_back=drawn.held_back[1:]),
        replace(drawn, salt="0" * 64),
        replace(drawn, time="2020-01-01T00:00:00+00:00"),
        replace(drawn, plan=replace(drawn.plan, decoys=99)),
    ):
        assert other.commitment != drawn.commitment
    assert b"case" not in (tmp_path / RESERVE).read_bytes()
    with pytest.raises(ProofError, match="another key"):
        Reserve.load(tmp_path, OTHER)


def test_whole_groups_are_held_back() -> None:
    groups = {f"{patient}.{scan}": f"patient {patient}" for patient in range(30) for scan in range(3)}
    drawn = draw_reserve(groups, 0.2, KEY)
    assert len(drawn.held_back) == 18
    assert len({groups[id] for id in drawn.held_back}) == 6


def test_a_reserve_that_is_too_small_says_how_many_groups_it_takes() -> None:
    with pytest.raises(ProofError, match=r"a reserve of 2 of 10 groups .* below 0.022, .* at least 16 groups"):
        draw_reserve(alone(10), 0.2, KEY)
    assert smallest_p(16, 4) <= 1e-3 < smallest_p(15, 3)
    with pytest.raises(ValueError, match=r"reserve is 0.9; it must be from 0.02 to 0.5"):
        draw_reserve(alone(10), 0.9, KEY)


def test_groups_are_read_and_every_wrong_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "groups.csv"
    file.write_text("case,group\na,p1\nb,p1\n", encoding="utf-8")
    assert read_groups(file, ["a", "b", "c"]) == {"a": "group p1", "b": "group p1", "c": "c"}
    file.write_text("a,p1,x\nq,p1\na,p1\na,p2\n", encoding="utf-8")
    with pytest.raises(DatasetError) as raised:
        read_groups(file, ["a", "b"])
    assert [text.split(":")[0] for text in raised.value.offenders] == ["line 1", "line 2", "line 4"]
    with pytest.raises(DatasetError, match="no readable CSV"):
        read_groups(tmp_path / "none.csv", ["a"])


def test_near_duplicates_are_found_and_may_not_lie_on_both_sides(tmp_path: Path) -> None:
    data = write_phantom(tmp_path / "data", num_train=8, num_test=2)
    source = decode_png(data / "images" / "phantom_0003.png")
    from PIL import Image

    darker = (source.array[0].astype(float) * 0.9 + np.random.default_rng(0).normal(0, 2, source.array[0].shape)).clip(
        0, 255
    )
    Image.fromarray(darker.astype(np.uint8)).save(data / "images" / "again.png")
    (data / "masks" / "again.png").write_bytes((data / "masks" / "phantom_0003.png").read_bytes())
    (data / "split.json").unlink()
    pairs = near_duplicates(find_cases(data), progress=False)
    assert pairs == [("again", "phantom_0003")] and SAME < 1
    groups = join({case.id: case.id for case in find_cases(data)}, pairs)
    assert groups["again"] == groups["phantom_0003"] == "again"
    with pytest.raises(DatasetError, match="again is held back and nearly equals phantom_0003, which is published"):
        check_leaks(groups, ["again", "phantom_0000"], pairs)
    check_leaks(groups, ["again", "phantom_0003"], pairs)


def test_chains_of_pairs_are_one_group() -> None:
    groups = join(alone(5), [("case 0", "case 1"), ("case 3", "case 4"), ("case 1", "case 3")])
    assert len(set(groups.values())) == 2


def test_the_log_counts_tests_and_shows_changes(tmp_path: Path) -> None:
    assert [append_log(tmp_path, KEY, what="queries", queries=n) for n in range(3)] == [1, 2, 3]
    assert [entry["queries"] for entry in read_log(tmp_path, KEY)] == [0, 1, 2]
    lines = (tmp_path / LOG).read_text().splitlines()
    for changed in (
        lines[1:],  # the first one removed
        [lines[0], lines[2]],
        [lines[0], json.dumps({**json.loads(lines[1]), "queries": 7}), lines[2]],
        [*lines, "{}"],
    ):
        (tmp_path / LOG).write_text("\n".join(changed) + "\n")
        with pytest.raises(ProofError, match="was changed"):
            read_log(tmp_path, KEY)
    (tmp_path / LOG).write_text("\n".join(lines) + "\n")
    with pytest.raises(ProofError, match="entry 1"):
        read_log(tmp_path, OTHER)
