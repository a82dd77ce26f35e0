"""Tables of the pages hold what the files of results hold, and every figure there has a command."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from monai_umed.cli import app
from monai_umed.defenses.registry import defense_entry
from monai_umed.tools.reference import docs_dir
from monai_umed.tools.tables import COLUMNS, Wanted, build, fill, pages, read_results

FILES = sorted(path.name for path in (docs_dir() / "results").glob("*.csv"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_the_tables_of_the_page_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert fill(text) == text, "run python -m monai_umed.tools.tables"


@pytest.mark.parametrize("name", FILES)
def test_every_figure_has_a_version_and_a_command(name: str) -> None:
    rows = read_results(name)
    assert rows
    if "dice" in rows[0]:
        assert tuple(rows[0]) == tuple(COLUMNS.split())
        assert all(row["version"] and row["command"] for row in rows)
        assert all(0 <= float(row["dice"]) <= 1 for row in rows)


@pytest.mark.parametrize("name", sorted({*FILES} - {"archive.csv", "published.csv"}))
def test_the_commands_of_figures_are_those_of_this_version(name: str) -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for part in {part for row in read_results(name) for part in row.get("command", "monai-umed list").split(" && ")}:
        program, *rest = shlex.split(part)  # as a shell reads it
        assert program in ("monai-umed", "python", "torchrun")
        if program == "python":
            assert rest[0] == "-m" and find_spec(rest[1])
        if program == "monai-umed":
            verb, *words = rest
            asked = verbs[verb].make_context(verb, ["0" if word == "S" else word for word in words]).params
            for defense in (asked.get("defenses") or "none").split(","):
                defense_entry(defense)  # raises what is wrong, as does the line before


def test_a_table_has_one_line_for_each_row_and_a_column_for_each_value() -> None:
    text = build(
        Wanted.parse('presets.csv dataset=BUSI preset=default arguments= rows=preset columns=network titles="one|two"')
    )
    heading, _, line = text.splitlines()
    assert heading == "| preset | one | two |"
    assert line.startswith("| default | 0.02 ± 0.01 of 0.6")


def test_small_p_values_are_counted_and_several_columns_stand_side_by_side() -> None:
    text = build(Wanted.parse('proof.csv rows=dataset columns= show=found:p_key,found:p_reserve titles="key|reserve"'))
    assert text.splitlines()[0] == "| dataset | key | reserve |"
    rows = [row for row in read_results("proof.csv") if row["dataset"] == "BUSI" and row["p_key"]]
    found = sum(float(row["p_key"]) <= 1e-3 for row in rows)
    assert f"| BUSI | {found} of {len(rows)} |" in text


def test_a_row_that_is_missing_and_one_that_is_double_are_told() -> None:
    with pytest.raises(ValueError, match=r"presets\.csv has no such row"):
        build(Wanted.parse("presets.csv dataset=nowhere rows=preset"))
    with pytest.raises(ValueError, match=r"two rows of presets\.csv belong into one cell"):
        build(Wanted.parse("presets.csv dataset=BUSI rows=dataset"))
