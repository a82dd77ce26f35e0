"""Controls whose verdict is known: an unperturbed copy, images replaced by noise, and a stranger's purifier."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_umed.data.cases import find_cases
from monai_umed.evaluation.audit.plan import Audit
from monai_umed.evaluation.audit.run import run_audit
from monai_umed.evaluation.audit.scores import AuditScores

SIDE = 32


def write_case(folder: Path, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    for kind, array in (("images", image), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array.astype(np.uint8)).save(folder / kind / f"{name}.png")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright squares in noise: a task that a U-Net learns in seconds. ``train/`` and ``test/``."""
    random = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("squares")
    for folder, count in (("train", 32), ("test", 12)):
        for index in range(count):
            top, left, height, width = random.integers(8, 16, 4)
            mask = np.zeros((SIDE, SIDE))
            mask[top : top + height, left : left + width] = 255
            image = random.integers(0, 100, (SIDE, SIDE)) + 0.4 * mask
            write_case(root / folder, f"{folder}{index:02}", image, mask)
    return root


def audit_of(protected: Path, squares: Path, output: Path, **options: Any) -> AuditScores:
    settings: dict[str, Any] = {
        "grid": (SIDE, SIDE),
        "exploiters": ("unet-batch",),
        "defenses": ("none",),
        "seeds": (0,),
        "recipe": {"epochs": 15, "batch_size": 8, "amp": False},
    }
    audit = Audit(
        str(protected),
        str(squares / "train"),
        test_dir=str(squares / "test"),
        test_section="all",
        **settings | options,
    )
    scores = run_audit(audit, output, workers=1, progress=False)
    assert scores is not None
    return scores


def test_an_unperturbed_copy_is_not_protected(squares: Path, tmp_path: Path) -> None:
    shutil.copytree(squares / "train", tmp_path / "copy")
    scores = audit_of(tmp_path / "copy", squares, tmp_path / "audit")
    assert scores.verdict == "not protected"
    [row] = scores.rows
    assert (row.clean_ceiling or 0) > 0.8
    assert row.protected == row.clean_ceiling  # equal files and seed, equal network
    assert scores.utility.clean_trained_on_protected == scores.utility.clean_trained_on_clean
    assert scores.utility.max_levels == 0 and scores.utility.psnr is None
    assert scores.utility.detector_auc == pytest.approx(0.5)
    assert not scores.utility.destroyed


def test_images_replaced_by_noise_have_lost_their_utility(squares: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for case in find_cases(squares / "train"):
        mask = np.asarray(Image.open(case.label))
        write_case(tmp_path / "noise", case.id, random.integers(0, 256, (SIDE, SIDE)), mask)
    scores = audit_of(tmp_path / "noise", squares, tmp_path / "audit")
    assert scores.utility.destroyed
    assert any("utility of the images is destroyed" in warning for warning in scores.warnings)


@pytest.mark.slow
def test_a_purifier_is_trained_on_foreign_images_that_this_tool_protected(
    squares: Path, clean_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(squares / "train", tmp_path / "copy")
    case = find_cases(tmp_path / "copy")[0]  # one pixel, so that there is a perturbation at all
    image = np.asarray(Image.open(case.image)).copy()
    image[16, 16] ^= 4
    Image.fromarray(image).save(case.image)
    scores = audit_of(
        tmp_path / "copy", squares, tmp_path / "audit", defenses=("purifier",), foreign_dir=str(clean_dir)
    )
    assert (tmp_path / "audit" / "foreign" / "protected" / "manifest.json").is_file()
    assert [row.defense for row in scores.rows] == ["none", "purifier"], scores.warnings
    assert not scores.rows[1].cheap
