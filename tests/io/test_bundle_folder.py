"""The bundle is found from a checkout, from its own copy and from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_umed.io.bundle_folder import bundle_root

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "umed"
CONFIGS = BUNDLE / "configs"


@pytest.mark.parametrize("start", [".", "bundles", "bundles/umed", "bundles/umed/configs"])
def test_the_bundle_is_found_from_within_a_checkout(monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    monkeypatch.chdir(ROOT / start)
    assert bundle_root("umed") == str(BUNDLE)


def test_the_bundle_is_found_from_elsewhere_and_from_another_bundle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bundle_root("umed") == str(BUNDLE)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text('{"name": "spleen"}')
    assert bundle_root("umed") == str(BUNDLE)


def test_a_copied_bundle_is_found_from_its_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_bytes((CONFIGS / "metadata.json").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert bundle_root("umed") == str(tmp_path.resolve())


def test_an_unknown_bundle_is_an_error_that_names_the_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"No bundle 'other' in .*bundles/other"):
        bundle_root("other")
