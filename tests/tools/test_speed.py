"""Speed figures: results are compared before times are, and wrong paths end in a plain message."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_umed.data.cases import find_cases
from monai_umed.data.phantom import write_phantom
from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed
from monai_umed.protectors.checkpoint import save_protector
from monai_umed.tools.file_speed import compare_images, some_cases
from monai_umed.tools.function_speed import check_equal, compare_functions
from monai_umed.tools.process_speed import compare_large_volume, compare_processes, compare_start
from monai_umed.tools.speed import main, warn_if_busy, write_csv
from monai_umed.tools.timing import Row, Wanted, alternate, at_most, speed_up, table, time_share
from monai_umed.tools.training_speed import LIMITS, compare_training

TINY = {"batch": 2, "side": 24, "volume": 16, "conv": 8}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_protector(tmp_path / "protector.pt", UMed(UMedPerturbator(2, 1).eval()))


def check_figures(rows: list[Row]) -> None:
    for row in rows:
        assert row.ours > 0 and row.other > 0 and row.ratio > 0, row
        assert (row.holds is None) == (row.required == ""), row


def test_all_functions_are_compared_after_their_results_were_found_equal() -> None:
    threads = torch.get_num_threads()
    rows = compare_functions(Wanted(repeats=1), **TINY)
    check_figures(rows)
    assert [bool(row.required) for row in rows] == [True, False, True, False, True, True, True, False]
    assert torch.get_num_threads() == threads


def test_protection_is_compared_on_the_training_images(tmp_path: Path, checkpoint: Path) -> None:
    dataset_dir = write_phantom(tmp_path / "clean", num_train=2, num_test=1)
    before = sorted(tmp_path.rglob("*"))
    rows = compare_images(Wanted((dataset_dir, checkpoint), repeats=1))
    check_figures(rows)
    assert [(row.reference.split(":")[0], row.required) for row in rows] == [
        ("read and write only", ""),
        ("read and write only", ""),
        ("Pillow", "<= 1.5x time"),
        ("Pillow", "<= 2.5x time"),
    ]
    assert all(row.what.startswith("protect 2 images") for row in rows)
    assert sorted(tmp_path.rglob("*")) == before


def test_some_cases_come_from_all_over_a_dataset(tmp_path: Path, checkpoint: Path) -> None:
    dataset_dir = write_phantom(tmp_path / "clean", num_train=6, num_test=1)
    train = [case.id for case in find_cases(dataset_dir, "train")]
    some = some_cases(dataset_dir, 3, tmp_path / "some")
    assert [case.id for case in find_cases(some, "train")] == train[::2]
    assert some_cases(dataset_dir, 6, tmp_path / "all") == dataset_dir


def test_steps_of_every_defense_are_compared_with_the_bare_network() -> None:
    rows = compare_training(Wanted(repeats=1), grid=(32, 32))
    check_figures(rows)
    assert [row.required for row in rows] == [f"<= {limit:g}x time" for limit in LIMITS.values()]


def test_commands_start_within_their_limit() -> None:
    rows = compare_start(Wanted(repeats=1))
    check_figures(rows)
    assert [row.required for row in rows] == ["<= 1000 ms"] * 6


@pytest.mark.slow
def test_whole_processes_are_compared(tmp_path: Path, checkpoint: Path) -> None:
    dataset_dir = write_phantom(tmp_path / "clean", num_train=4, num_test=1)
    rows = compare_processes(Wanted((dataset_dir, checkpoint), repeats=1))
    rows += compare_large_volume(Wanted(repeats=1), shape=(48, 48, 32))
    check_figures(rows)
    assert [row.required for row in rows] == [">= 1.85x speed", "<= 15000 ms", "<= 1.5 GiB"]


def test_different_results_are_never_timed() -> None:
    with pytest.raises(RuntimeError, match="band: 1 of 4 pixels differ from the reference, where 0 may"):
        check_equal("band", np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]))


def test_convention_ratio_is_speed_up_unless_our_share_of_the_time_is_limited() -> None:
    assert speed_up("f", "g", ours=1.0, other=6.0, least=5) == Row("f", "g", 1e3, 6e3, "ms", 6.0, ">= 5x speed", True)
    assert speed_up("f", "g", ours=1.0, other=4.0, least=5).holds is False
    assert time_share("f", "g", ours=3.0, other=2.0, most=1.1).ratio == 1.5
    assert time_share("f", "g", ours=3.0, other=2.0, most=1.1).holds is False
    assert time_share("f", "g", ours=2.0, other=2.0, most=1.1).holds is True


def test_functions_take_turns() -> None:
    calls: list[str] = []
    times = alternate([lambda: calls.append("a"), lambda: calls.append("b")], repeats=3, least=0)
    assert "".join(calls) == "ab" * 4  # the first of each is not timed
    assert len(times) == 2
    with pytest.raises(ValueError, match="repeats is 0; it must be at least 1"):
        alternate([lambda: None], repeats=0)


def test_table_says_what_fails() -> None:
    rows = [speed_up("f", "g", 1.0, 4.0, least=5), speed_up("f", "g", 1.0, 6.0, least=5), speed_up("f", "g", 1.0, 1.0)]
    assert [line.split()[-1] for line in table(rows).splitlines()] == ["holds", "NO", "yes", "1.00"]


def test_wrong_paths_end_before_anything_is_measured(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(SystemExit, match="no such folder; check the path"):
        main(["--dataset_dir", str(tmp_path / "missing"), "--checkpoint", str(checkpoint)])
    with pytest.raises(SystemExit, match="No checkpoint at"):
        main(["--dataset_dir", str(tmp_path), "--checkpoint", str(tmp_path / "missing.pt")])
    with pytest.raises(SystemExit, match="A dataset and its checkpoint belong together"):
        main(["--dataset_dir", str(tmp_path)])
    with pytest.raises(SystemExit, match="'image' is no part; use some of images, volumes"):
        main(["--parts", "image"])
    with pytest.raises(SystemExit, match="cases is 0; it must be at least 1"):
        main(["--cases", "0"])


def test_command_writes_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [speed_up("f", "g", 1.0, 4.0)]
    monkeypatch.setattr("monai_umed.tools.speed.measure_all", lambda *_: rows)
    main(["--output", str(tmp_path / "new" / "speed.json")])
    content = json.loads((tmp_path / "new" / "speed.json").read_text())
    assert [Row(**row) for row in content["rows"]] == rows
    assert {"threads", "torch", "numpy", "scipy", "scikit-image"} <= content["environment"].keys()
    assert f"threads {torch.get_num_threads()}" in capsys.readouterr().out


def test_figures_for_the_documentation_name_their_command(tmp_path: Path) -> None:
    rows = [speed_up("f", "g", 1.0, 4.0, least=5), at_most(Row("f", "g", 1.2, 2.4, "GiB", 0.5), 1.5)]
    write_csv(tmp_path / "speed.csv", rows, "python -m x --parts ct")
    with (tmp_path / "speed.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["ours"], first["reference"], first["required"]) == ("1 s", "g, 4 s", ">= 5x speed")
    assert (second["ours"], second["reference"], second["required"]) == ("1.2 GiB", "g, 2.4 GiB", "<= 1.5 GiB")
    assert second["ratio_to_reference"] == "0.50" and second["command"] == "python -m x --parts ct"


def test_busy_machine_gets_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    warn_if_busy({"load": 0.3, "cores": 2, "threads": 2})
    warn_if_busy({"load": None, "cores": 2, "threads": 2})
    assert capsys.readouterr().err == ""
    warn_if_busy({"load": 2.0, "cores": 2, "threads": 2})
    assert "load 2.0 plus 2 threads is more than 2 cores" in capsys.readouterr().err
