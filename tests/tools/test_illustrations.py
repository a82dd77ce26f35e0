"""The pictures of the pages: small, drawn by a command that the page names, and of the results as they are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_umed.evaluation.audit.scores import AuditScores, Details, ScoreRow, Utility, Worst
from monai_umed.tools.illustrations import POINTS, SHOWN, cells_of, frontier_points, main
from monai_umed.tools.reference import docs_dir
from monai_umed.tools.tables import pages

NAMES = ("unet-batch", "unet-instance")


def audit() -> AuditScores:
    """An audit of two networks under one defense, the ceiling of one of them missing."""
    rows = [
        ScoreRow(name, "none", "", True, False, 1, 0.4, ceiling, None, ceiling and 0.4 / ceiling, Details(*[None] * 3))
        for name, ceiling in zip(NAMES, (0.6, None), strict=True)
    ]
    worst = Worst(NAMES[0], "none", 0.4, 0.6, 0.4 / 0.6)
    return AuditScores("not protected", "", worst, [], rows, Utility(), {}, [], {}, "", {})


def text_of(path: Path) -> dict[str, str]:
    with Image.open(path) as image:
        image.load()
        return {str(key): str(value) for key, value in image.info.items()}


def test_the_frontier_shows_the_results_as_they_are() -> None:
    drawn = json.loads(text_of(docs_dir() / "frontier.png")[POINTS])
    assert drawn == frontier_points(), "run python -m monai_umed.tools.illustrations frontier"


def test_the_heat_map_shows_the_results_as_they_are() -> None:
    drawn = json.loads(text_of(docs_dir() / "heat-map.png")[POINTS])
    assert drawn == cells_of(None), "run python -m monai_umed.tools.illustrations heat-map"


def test_pictures_are_small_and_used() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    pictures = list(docs_dir().glob("*.png"))
    assert {path.name: path.stat().st_size for path in pictures if path.stat().st_size > 200_000} == {}
    assert {path.name for path in pictures if path.name not in text} == set()


def test_a_level_is_shown_pixel_by_pixel(tmp_path: Path) -> None:
    main(["levels", "--output", str(tmp_path / "levels.png")])
    with Image.open(tmp_path / "levels.png") as image:
        panels = np.asarray(image)[-SHOWN:].astype(int)
    original, *protected = (panels[:, start : start + SHOWN] for start in range(0, panels.shape[1], SHOWN + 6))
    assert [np.abs(panel - original).max() for panel in protected] == [4, 8, 12]


@pytest.mark.parametrize("name", ["viewer", "frontier", "heat-map"])
def test_a_picture_is_a_small_png(tmp_path: Path, name: str) -> None:
    (tmp_path / "scores.json").write_text(json.dumps(asdict(audit())), encoding="utf-8")
    main([name, "--output", str(tmp_path / "picture.png"), "--scores", str(tmp_path / "scores.json")])
    assert 5_000 < (tmp_path / "picture.png").stat().st_size < 150_000
