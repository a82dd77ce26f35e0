"""What a package index shows has no link that leads nowhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import monai_umed as mu

ROOT = Path(mu.bundle_root()).parents[1]
LINKS = re.compile(r"\]\((?!https?://)")


@pytest.fixture(scope="module")
def front_page() -> Any:
    return runpy.run_path(str(ROOT / ".ci" / "front_page.py"))["front_page"]


def test_with_an_address_all_links_are_absolute(front_page: Any) -> None:
    text = front_page((ROOT / "README.md").read_text(encoding="utf-8"), "https://example.org/blob/main/")
    assert "](https://example.org/blob/main/bundles/umed/docs/overview.png)" in text and not LINKS.search(text)


def test_without_one_pages_are_named_and_not_linked(front_page: Any) -> None:
    text = front_page((ROOT / "README.md").read_text(encoding="utf-8"), None)
    assert (
        not LINKS.search(text) and "own data (`docs/how-to/own-data.md`)" in text and "monai-umed bundle-path" in text
    )
    assert all((Path(mu.bundle_root()) / page).exists() for page in re.findall(r" \(`(docs/[^`]*)`\)", text))
