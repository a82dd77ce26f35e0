"""The pages that are written from the code say what the code says."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import monai_umed as mu
from monai_umed.tools.reference import PAGES, SETTINGS, docs_dir


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_current(name: str) -> None:
    written = (docs_dir() / "reference" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run python -m monai_umed.tools.reference"


def test_every_sentence_is_about_an_id() -> None:
    known = {"*": set[str]()}
    for path in (Path(mu.bundle_root()) / "configs").glob("*.json"):
        known[path.name] = {name.partition("#")[0] for name in json.loads(path.read_text(encoding="utf-8"))}
        known["*"] |= known[path.name]
    with (docs_dir() / "reference" / SETTINGS).open(encoding="utf-8") as file:
        unknown = [row for row in csv.DictReader(file) if row["id"] not in known[row["config"]]]
    assert unknown == []
