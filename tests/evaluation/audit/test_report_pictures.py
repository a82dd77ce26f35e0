"""The report's pictures: exact pixels where the reader judges them, and plain words where they cannot be drawn."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report import TIMES, make_pictures, report

from monai_umed.evaluation.audit.report_pictures import (
    LONGEST,
    BeforeAfter,
    Pictures,
    Prediction,
    cut_out,
    view_before_after,
    view_prediction,
)
from monai_umed.io.display import GAIN, difference


def decode(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))


@pytest.mark.parametrize("channels", [0, 3])
def test_before_and_after_are_lossless_and_the_difference_is_exact(channels: int) -> None:
    case = make_pictures(1, channels=channels).before_after[0]
    view = view_before_after(case)
    np.testing.assert_array_equal(decode(view.original), case.original)
    np.testing.assert_array_equal(decode(view.protected), case.protected)
    change = case.protected.astype(int) - case.original
    np.testing.assert_array_equal(decode(view.difference), np.clip(128 + GAIN * change, 0, 255))
    assert view.largest == abs(change).max() and view.shown == view.size == (48, 40)


def test_difference_never_wraps_around() -> None:
    black, white = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    assert (difference(black, white) == 255).all() and (difference(white, black) == 0).all()
    assert (difference(white, white) == 128).all()


def test_large_images_are_cut_in_native_pixels_around_the_change_and_the_page_says_so(tmp_path: Path) -> None:
    original = np.zeros((900, 700), np.uint8)
    protected = original.copy()
    protected[880:890, 20:40] = 3
    view = view_before_after(BeforeAfter("large", original, protected))
    np.testing.assert_array_equal(decode(view.protected), protected[900 - LONGEST :, :LONGEST])
    page = report(tmp_path, pictures=Pictures([BeforeAfter("large", original, protected)]))[1]
    assert f"cut-out of {LONGEST} {TIMES} {LONGEST} from 700 {TIMES} 900 pixels" in page.texts["pictures"]
    assert cut_out(np.zeros((900, 10), bool), 100) == (slice(400, 500), slice(0, 10))


def test_clipped_differences_are_mentioned(tmp_path: Path) -> None:
    original = np.zeros((16, 16), np.uint8)
    text = "changes of more than 6.4 gray levels are drawn as black or white"
    for levels in (6, 7):
        case = BeforeAfter("case", original, original + np.uint8(levels))
        page = report(tmp_path, pictures=Pictures([case]))[1]
        assert (text in page.texts["pictures"]) == (levels == 7)


@pytest.mark.parametrize("fill", [False, True])
def test_empty_and_full_masks_can_be_drawn(fill: bool, recwarn: pytest.WarningsRecorder) -> None:
    mask = np.full((24, 16), fill)
    view = view_prediction(Prediction("case", np.zeros((24, 16), np.uint8), mask, mask, mask, 1.0, 1.0))
    assert len(view.panels) == 3 and not list(recwarn)


def test_pictures_of_wrong_type_or_shape_are_refused_with_a_cure() -> None:
    image, mask = np.zeros((8, 8), np.uint8), np.zeros((8, 8), bool)
    with pytest.raises(ValueError, match=r"protected of case 'a' is float32 \(8, 8\); it must be uint8 .* Scale it"):
        view_before_after(BeforeAfter("a", image, image.astype(np.float32)))
    with pytest.raises(
        ValueError, match=r"original of case 'a' is uint8 \(8, 8, 8, 1\); .* of a volume, pass one slice"
    ):
        view_before_after(BeforeAfter("a", np.zeros((8, 8, 8, 1), np.uint8), image))
    with pytest.raises(ValueError, match=r"clean_trained of case 'b' is bool \(4, 8\); it must be bool \(8, 8\)"):
        view_prediction(Prediction("b", image, mask, mask[:4], mask, 0.5, 0.5))


def test_four_speckled_pictures_make_less_than_three_megabytes(tmp_path: Path) -> None:
    report(tmp_path, pictures=make_pictures(4, height=400, width=400))
    assert (tmp_path / "new" / "report.html").stat().st_size < 3_000_000
