"""The report in a real browser: it fits its window, its script runs, and screenshots can be looked at."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from test_report import make_audit, make_pictures, make_row

from monai_umed.evaluation.audit.report import write_report
from monai_umed.evaluation.audit.scores import AuditScores

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--allow-file-access-from-files",
)
# A window of a headless browser is at least 500 px wide, so the page sits in a frame that is as wide as a phone.
FRAME = """<!DOCTYPE html><body style="margin:0"><iframe id="frame" src="report.html"
style="border:0;width:{width}px;height:1800px"></iframe><script>
document.getElementById("frame").addEventListener("load", event => {{
  const page = event.target.contentDocument, root = page.documentElement;
  for (const input of page.querySelectorAll(".slide input")) {{
    input.value = 25;
    input.dispatchEvent(new event.target.contentWindow.Event("input"));
  }}
  const wide = [...page.body.querySelectorAll("*")].filter(
    item => !item.closest(".scroll") && item.getBoundingClientRect().right > {width} + 0.5);
  const images = [...page.images];
  document.title = JSON.stringify([
    root.scrollWidth, wide.map(item => item.tagName + "." + item.className), images.length,
    images.filter(image => !image.complete || !image.naturalWidth).length,
    page.querySelector(".pair").style.getPropertyValue("--cut"),
    event.target.contentWindow.getComputedStyle(page.querySelector(".slide")).display]).replaceAll('"', "'");
}});
</script></body>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on PATH; install it, e.g. apt-get install chromium"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the largest audit, with long names everywhere."""
    folder = tmp_path_factory.mktemp("report")
    exploiters = [f"unetplusplus-batch-{index}" for index in range(8)]
    rows = [
        make_row(exploiter, f"defense-{index}", 0.3, 0.6, seeds=3) for exploiter in exploiters for index in range(9)
    ]
    long_path = "/data/" + "a_very_long_folder_name" * 6
    audit = make_audit(
        rows=[*rows, make_row(exploiters[0], "adversarial-1", 0.6, 0.6, cheap=False)],
        settings={"protected_dir": long_path, "an_argument_with_a_rather_long_name_indeed": 1},
        command=f"monai-umed audit --protected_dir {long_path}",
        warnings=[f"no original for {long_path}"],
        curves={name: {"clean": [1.0, 0.5], "protected": [1.0, 0.1]} for name in exploiters},
        worst_cases=[{"id": "x" * 90, "exploiter": exploiters[0], "defense": "none", "dice": 0.5}],
    )
    write_report(AuditScores.parse(audit), make_pictures(2, name="case" * 30), folder / "report.html")
    return folder


def browse(folder: Path, page: str, *flags: str) -> str:
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, (folder / page).as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.parametrize("width", [1280, 390, 380])
def test_page_is_never_wider_than_its_window(folder: Path, width: int) -> None:
    page = f"frame_{width}.html"
    (folder / page).write_text(FRAME.format(width=width), encoding="utf-8")
    dom = browse(folder, page, "--dump-dom", "--virtual-time-budget=5000", f"--window-size={max(width, 500)},1800")
    found = re.search("<title>(.*?)</title>", dom)
    assert found is not None, "the page's script did not run"
    assert found[1] == f"[{width},[],{2 * 3 + 2 * 3 + 8},0,'25%','grid']"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots_have_the_background_of_their_scheme(folder: Path, width: int, scheme: str) -> None:
    page, picture = f"shot_{width}.html", folder / f"{width}_{scheme}.png"
    (folder / page).write_text(FRAME.format(width=width), encoding="utf-8")
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    browse(folder, page, f"--screenshot={picture}", f"--window-size={max(width, 500)},1800", *dark)
    with Image.open(picture) as image:
        gray = image.convert("L").crop((0, 0, width, 1800))
        # the margin left of everything shows the page's own background
        background = gray.getpixel((3, 900))
        assert isinstance(background, int) and (background > 200 if scheme == "light" else background < 60)
        low, high = gray.getextrema()
        assert isinstance(low, int) and isinstance(high, int) and high - low > 150
