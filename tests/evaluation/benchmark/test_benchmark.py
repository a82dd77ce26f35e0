"""The benchmark: names of protectors, resumed and shared runs, tables next to what was published."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from monai.utils import set_determinism
from typer.testing import CliRunner

from monai_umed import cli
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST
from monai_umed.data.phantom import write_phantom
from monai_umed.evaluation.benchmark import candidate, run
from monai_umed.evaluation.benchmark.candidate import RECORD, Candidate, make_candidate, read_record
from monai_umed.evaluation.benchmark.figure import draw_figure
from monai_umed.evaluation.benchmark.plan import Benchmark
from monai_umed.evaluation.benchmark.published import PUBLISHED
from monai_umed.evaluation.benchmark.rows import COLUMNS, BenchmarkRow
from monai_umed.evaluation.benchmark.run import run_benchmark
from monai_umed.evaluation.benchmark.variants import UMED_VARIANTS, read_protector
from monai_umed.io.provenance import source_version
from monai_umed.protectors import PROTECTORS

RECIPE = {"epochs": 1, "batch_size": 4, "amp": False}


@pytest.fixture(autouse=True)
def quiet_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Configs hook into errors and fix all seeds; tests give that back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    set_determinism(None)


@pytest.fixture(autouse=True)
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Releases that were made, here in this process, which saves seconds each; lsp fails."""
    made: list[str] = []

    def make(job: Candidate) -> str | None:
        made.append(job.folder.name)
        if job.spec.name == "lsp":
            return "ValueError: it broke"
        job.folder.mkdir(parents=True, exist_ok=True)
        with monkeypatch.context() as alone:
            for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
                alone.delenv(name, raising=False)
            candidate._make(job)
        return None

    monkeypatch.setattr(run, "make_candidate", make)
    return made


@pytest.fixture(scope="module")
def busi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom by the name of a dataset with published results."""
    return write_phantom(tmp_path_factory.mktemp("named") / "busi", num_train=8, num_test=10)


@pytest.fixture
def plan(busi: Path) -> Benchmark:
    return Benchmark((str(busi),), ("uniform", "em@roi"), defenses=(), grid=(32, 32), recipe=RECIPE)


@pytest.fixture
def cheap(plan: Benchmark) -> Benchmark:
    return replace(plan, protectors=("uniform", "constant-stamp"))


def execute(plan: Benchmark, folder: Path) -> list[BenchmarkRow] | None:
    return run_benchmark(plan, folder, workers=1, progress=False)


def stamps(folder: Path, pattern: str) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob(pattern)}


@pytest.mark.parametrize(
    ("text", "bound", "name", "where"),
    [
        ("em", None, "em", "full"),
        ("em@full", None, "em", "full"),
        ("em", "roi", "em@roi", "roi"),
        ("em@roi*lbp", "band", "em@roi*lbp", "roi*lbp"),
        ("constant-stamp", None, "constant-stamp", "roi"),
        ("umed-contour", "roi", "umed-contour", "contour"),
        ("constant-stamp:period=2@roi*lbp", None, "constant-stamp:period=2@roi*lbp", "roi*lbp"),
    ],
)
def test_a_name_may_carry_a_bound(text: str, bound: str | None, name: str, where: str) -> None:
    variant = read_protector(text, bound)
    assert (variant.name, variant.bound) == (name, where) and not set("*:") & set(variant.folder)


def test_a_name_may_carry_arguments_as_numbers_and_as_words() -> None:
    variant = read_protector("constant-stamp:period=2.5:pattern=checkerboard")
    own = {"protector#period": 2.5, "protector#pattern": "checkerboard"}
    assert variant.overrides == {"method": "constant-stamp", "bound": "roi", **own}


def test_an_argument_reaches_the_protector(cheap: Benchmark, tmp_path: Path) -> None:
    rows = execute(replace(cheap, protectors=("constant-stamp:period=8",)), tmp_path)
    assert rows is not None and rows[-1].protector == "constant-stamp:period=8"
    [record] = tmp_path.glob("busi/constant-stamp*/release.json")
    assert "period=8.0" in json.loads(record.read_text())["protector"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"protectors": ("umd",)}, "Did you mean 'umed'"),
        ({"protectors": ("umed@roi",)}, "bounds of its own; leave @roi out"),
        ({"protectors": ("umed:period=2",)}, "leave :period=2 out"),
        ({"protectors": ("constant-stamp:perod=2",)}, "not an argument of constant-stamp; .* Did you mean 'period'"),
        ({"protectors": ("constant-stamp:eps=1",)}, "not an argument of constant-stamp"),
        ({"protectors": ("constant-stamp:period",)}, "give name=value"),
        ({"protectors": ("em@rio",)}, "Did you mean 'roi'"),
        ({"protectors": ("em", "em@full")}, "Two of the protectors go by the name 'em'"),
        ({"defenses": ("jepg-60",)}, "no defense"),
        ({"defenses": ("pretrained",)}, "images of another dataset"),
        ({"psnr": 4.0}, "from 20 to 80 dB"),
        ({"seeds": ()}, "at least one of seeds"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(plan: Benchmark, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(plan, **changes)


def test_a_grid_must_fit_every_dataset(plan: Benchmark, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"grid is \(32, 32, 32\), but .* is 2D"):
        execute(replace(plan, grid=(32, 32, 32)), tmp_path)


def test_a_benchmark_writes_tables_and_goes_on_where_it_stopped(
    cheap: Benchmark, tmp_path: Path, jobs: list[str]
) -> None:
    rows = execute(replace(cheap, protectors=("lsp", "uniform")), tmp_path)
    assert rows is not None and [row.protector for row in rows] == ["clean", "uniform"]
    assert "## Failed\n\n- busi/lsp: ValueError: it broke" in (tmp_path / "results.md").read_text()
    before = stamps(tmp_path, "*_0.json")
    rows = execute(cheap, tmp_path)
    assert rows is not None and [row.protector for row in rows] == ["clean", "uniform", "constant-stamp"]
    assert jobs == ["lsp", "uniform", "constant-stamp"]
    assert stamps(tmp_path, "*_0.json").items() >= before.items()
    assert all(row.clean_dice == rows[0].dice for row in rows)
    assert (rows[1].psnr or 0) < (rows[2].psnr or 0) and rows[1].eps == cheap.eps and (rows[1].peak_mb or 0) > 50
    with (tmp_path / "results.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert tuple(written[0]) == COLUMNS and float(written[2]["dice"]) == rows[2].dice
    assert all(line["version"] == source_version() for line in written) and written[2]["release_version"]
    text = (tmp_path / "results.md").read_text()
    assert f"| uniform | {rows[1].dice:.3f} |" in text and "Failed" not in text
    assert "paper: 224x224, 150 epochs" in text and f"| clean | none | 0.729 | {rows[0].dice:.3f} |" in text
    assert (tmp_path / "dice_over_psnr.png").read_bytes()[:4] == b"\x89PNG"


def test_the_legend_of_the_figure_holds_all_protectors(
    plan: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(plan, protectors=tuple(dict.fromkeys((*UMED_VARIANTS, *PROTECTORS))), psnr=48.0)
    where: dict[str, Any] = {"dataset": "busi", "exploiter": plan.exploiters[0], "defense": "none", "seed": 0}
    left_out: dict[str, Any] = {"clean_dice": None, "version": None, "command": ""}
    rows = [
        BenchmarkRow(protector=variant.name, budget=budget, psnr=40.0 + index, dice=0.5, **where, **left_out)
        for index, variant in enumerate(plan.specs)
        for budget in ("eps", "48 dB")
    ]
    drawn: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **options: Any) -> None:
        drawn.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    draw_figure(rows, plan, tmp_path / "figure.png")
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *(variant.name for variant in plan.specs),
        "equal eps",
        "PSNR 48 dB",
    ]
    box, whole = legend.get_window_extent(), drawn[0].bbox
    assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1


def test_equal_psnr_takes_the_same_fit_with_another_eps(cheap: Benchmark, tmp_path: Path, jobs: list[str]) -> None:
    rows = execute(replace(cheap, protectors=("constant-stamp",), psnr=42.0), tmp_path)
    assert rows is not None and jobs == ["constant-stamp", "constant-stamp_42dB"]
    first, second = (row for row in rows if row.budget)
    assert (first.budget, second.budget) == ("eps", "42 dB")
    assert 42 <= (second.psnr or 0) < (first.psnr or 0) and (second.eps or 0) > (first.eps or 0)
    assert first.fit_seconds == second.fit_seconds


def test_machines_share_the_protectors_and_the_last_one_writes(
    cheap: Benchmark,
    tmp_path: Path,
    jobs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert execute(cheap, tmp_path) is None
    assert jobs == ["uniform"] and "1 parts are still running" in capsys.readouterr().out
    monkeypatch.setenv("RANK", "1")
    rows = execute(cheap, tmp_path)
    assert rows is not None and len(rows) == 3 and jobs == ["uniform", "constant-stamp"]


def test_other_settings_need_another_folder(cheap: Benchmark, tmp_path: Path) -> None:
    execute(replace(cheap, protectors=("uniform",)), tmp_path)
    with pytest.raises(ValueError, match="contains a run with other settings"):
        execute(replace(cheap, eps=8 / 255), tmp_path)
    with pytest.raises(ValueError, match="other settings"):
        execute(replace(cheap, recipe={**RECIPE, "epochs": 2}), tmp_path)


def test_a_release_is_made_in_a_process_of_its_own_and_anew(busi: Path, tmp_path: Path) -> None:
    folder = tmp_path / "uniform"
    folder.mkdir()
    (folder / "left_by_an_interruption").touch()
    job = Candidate(
        str(busi), read_protector("uniform"), folder=folder, eps=4 / 255, grid=(32, 32), num_classes=2, progress=False
    )
    assert make_candidate(job) is None
    made = read_record(folder)
    assert made is not None and made.cases == len(find_cases(busi, "train")) == 8 and 0 < made.peak_mb < 20_000
    assert made.fit_seconds > 0 and made.apply_seconds > 0 and (folder / "protected" / MANIFEST).is_file()
    assert not (folder / "left_by_an_interruption").exists()
    (folder / RECORD).write_text("{")
    assert read_record(folder) is None and (folder / "release.damaged-1").is_file()


def test_published_numbers_are_those_of_the_papers_averages() -> None:
    table = {
        name: [entry.dice for entry in PUBLISHED if entry.table == 1 and entry.protector == name]
        for name in ("clean", "umed", "em")
    }
    averages = {name: round(sum(dice for dice in values if dice) / 3, 4) for name, values in table.items()}
    assert averages == {"clean": 0.8218, "umed": 0.068, "em": 0.4241}


def test_the_command_line_needs_a_dataset_and_a_folder(busi: Path) -> None:
    done = CliRunner().invoke(cli.app, ["benchmark", str(busi), "--protectors", "em"])
    assert done.exit_code == 2 and "one place was given" in done.output


@pytest.mark.slow
def test_fitted_methods_and_parts_of_umed_run_by_name(plan: Benchmark, tmp_path: Path, jobs: list[str]) -> None:
    names = ("umed-contour-vanilla", "umed-texture-flat", "em@roi", "tap")
    rows = execute(replace(plan, protectors=names, defenses=("blur-1.0",)), tmp_path)
    assert rows is not None and {row.protector for row in rows} == {"clean", *names}
    assert len(rows) == 2 * 5 and (tmp_path / "results.md").read_text().count("### ") == 2


def test_protectors_see_slices_of_volumes_and_exploiters_volumes(tmp_path: Path) -> None:
    volumes = write_phantom(tmp_path / "volumes", spatial_dims=3, num_train=3, num_test=10)
    plan = Benchmark((str(volumes),), ("uniform", "constant-stamp"), defenses=(), grid=(32, 32, 32), recipe=RECIPE)
    rows = run_benchmark(plan, tmp_path / "out", workers=1, progress=False)
    assert rows is not None and {row.protector for row in rows} == {"clean", "uniform", "constant-stamp"}
    assert all(0 <= row.dice <= 1 for row in rows)
    record = read_record(tmp_path / "out" / "volumes" / "uniform")
    assert record is not None and "slice_axis=2" in record.protector
