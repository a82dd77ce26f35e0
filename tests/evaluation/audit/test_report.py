"""The report: everything promised is in one file, nothing is loaded from elsewhere, and names stay names."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_umed.evaluation.audit.report import MEASURES, VERDICTS, write_report
from monai_umed.evaluation.audit.report_pictures import BeforeAfter, Pictures, Prediction
from monai_umed.evaluation.audit.scores import AuditScores
from monai_umed.io.display import GAIN

VOID = {"meta", "img", "input", "br", "link", "hr"}
NBSP, TIMES = "\N{NO-BREAK SPACE}", "\N{MULTIPLICATION SIGN}"


def make_measures(mean: float, seeds: int) -> dict[str, Any]:
    measures: Any = {}
    for index, name in enumerate(MEASURES):
        values = [mean / (1 + index) + 0.01 * seed for seed in range(seeds)]
        sd = float(np.std(values, ddof=1)) if seeds > 1 else None
        measures[name] = {"mean": float(np.mean(values)), "sd": sd, "values": values}
    return measures


def make_row(
    exploiter: str, defense: str, protected: float, ceiling: float | None, cheap: bool = True, seeds: int = 1
) -> dict[str, Any]:
    return {
        "exploiter": exploiter,
        "defense": defense,
        "cheap": cheap,
        "seeds": seeds,
        "protected": protected,
        "clean_ceiling": ceiling,
        "untrained_floor": 0.11,
        "ratio": None if ceiling is None else protected / ceiling,
        "details": {
            "protected": make_measures(protected, seeds),
            "clean_ceiling": None if ceiling is None else make_measures(ceiling, seeds),
            "untrained_floor": make_measures(0.11, seeds),
        },
        "summary": {"blur-1.0": "Gaussian blur, sigma 1.0"}.get(defense, ""),
    }


def make_audit(**changes: Any) -> dict[str, Any]:
    audit: Any = {
        "verdict": "partly protected",
        "reason": "One of five cheap trainings reaches 63 % of what clean files teach.",
        "worst": {
            "exploiter": "unet-instance",
            "defense": "blur-1.0",
            "protected": 0.4,
            "clean_ceiling": 0.64,
            "ratio": 0.625,
        },
        "warnings": ["only one seed was run"],
        "rows": [
            make_row("unet-batch", "none", 0.05, 0.63),
            make_row("unet-instance", "none", 0.223, 0.665, seeds=3),
            make_row("unet-batch", "blur-1.0", 0.1, None),
            make_row("unet-instance", "blur-1.0", 0.4, 0.64),
            make_row("unet-batch", "jpeg-60", 0.2, 0.6),
            make_row("unet-batch", "adversarial-1", 0.61, 0.62, cheap=False),
        ],
        "utility": {
            "clean_trained_on_clean": 0.632,
            "clean_trained_on_protected": 0.629,
            "protected_trained_on_protected": 0.914,
            "detector_auc": 0.987,
            "psnr": 49.44,
            "ssim": 0.9954,
            "max_levels": 4,
            "radiomics": {"glcm contrast": 0.123, "first-order mean": -0.001},
            "destroyed": False,
        },
        "curves": {"unet-batch": {"clean": [1.25, 0.5], "protected": [1.125, 0.25]}},
        "worst_cases": [{"id": "benign (7)", "exploiter": "unet-instance", "defense": "blur-1.0", "dice": 0.812}],
        "settings": {"grid": [128, 128], "seeds": [0], "intensity_window": None, "network_size": "small"},
        "command": "monai-umed audit --protected_dir OUT/protected --clean_dir DATA",
        "versions": {"monai_umed": "0.1.0", "torch": "2.13.0"},
    }
    return audit | changes


def make_pictures(count: int = 2, height: int = 48, width: int = 40, channels: int = 0, name: str = "case") -> Pictures:
    rng = np.random.default_rng(0)
    shape = (height, width, channels) if channels else (height, width)
    pictures = Pictures()
    for index in range(count):
        image = rng.integers(20, 236, shape, dtype=np.uint8)
        truth = np.zeros((height, width), dtype=bool)
        truth[height // 3 : height // 2, width // 3 : width // 2] = True
        change = rng.integers(-4, 5, shape) * truth.reshape(*truth.shape, *[1] * (image.ndim - 2))
        pictures.before_after.append(BeforeAfter(f"{name}_{index}", image, (image + change).astype(np.uint8)))
        shifted = np.roll(truth, 5, axis=1)
        pictures.predictions.append(Prediction(f"{name}_{index}", image, truth, truth, shifted, 0.876, 0.123, "unet"))
    return pictures


class Page(HTMLParser):
    """Tags with attributes, the text of every section, and the cells of every table row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, str] = {}
        self.lines: list[list[str]] = []
        self._part = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("header", "section", "nav"):
            self._part = dict(attributes).get("id") or tag
        if tag == "tr":
            self.lines.append([])
        if tag in ("td", "th"):
            self.lines[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:  # <path/> and <circle/> close themselves
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self.open):
            return
        self.texts[self._part] = self.texts.get(self._part, "") + re.sub(r"[ \n]+", " ", data)
        if {"td", "th"} & set(self.open):
            self.lines[-1][-1] += data.strip()


def report(tmp_path: Path, audit: dict[str, Any] | None = None, pictures: Pictures | None = None) -> tuple[str, Page]:
    output = tmp_path / "new" / "report.html"
    scores = AuditScores.parse(make_audit() if audit is None else audit)
    write_report(scores, make_pictures() if pictures is None else pictures, output)
    html = output.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    return html, page


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    """The report that most tests read."""
    return report(tmp_path_factory.mktemp("standard"))


def test_verdict_reason_worst_case_and_warnings_come_first(standard: tuple[str, Page]) -> None:
    html, page = standard
    assert html.startswith("<!DOCTYPE html>")
    parts = ["header", "nav", "figures", "scores", "costly", "pictures", "predictions", "curves"]
    assert [part for part in page.texts if part] == [*parts, "worst-cases", "radiomics", "reproduce", "limits"]
    first = page.texts["header"]
    answer = "Publish them only if"
    assert (
        first.index("partly protected")
        < first.index(answer)
        < first.index("One of five cheap trainings")
        < first.index("Worst case")
    )
    assert "unet-instance with defense blur-1.0 (Gaussian blur, sigma 1.0) reaches Dice 0.400" in first
    assert "0.640 after training on the clean files" in first and f"62{NBSP}% of the ceiling" in first
    assert "This audit says little because" in first and "only one seed was run" in first
    assert "destroyed" not in first


def test_every_verdict_has_its_own_word_sign_and_color(tmp_path: Path) -> None:
    signs = set()
    for verdict, grade in VERDICTS.items():
        html = report(tmp_path, make_audit(verdict=verdict, curves={}), Pictures())[0]
        assert f'<span id="verdict">{verdict}</span>' in html and f"<title>Audit: {verdict}</title>" in html
        assert f'class="verdict {grade}"' in html
        signs.add(html[html.index('<svg class="icon"') : html.index("</svg>")])
    assert len(signs) == len(VERDICTS)


def test_audit_without_anything_to_judge_by_has_no_worst_case(tmp_path: Path) -> None:
    page = report(tmp_path, make_audit(verdict="not protected", worst=None), Pictures())[1]
    assert "One of five" in page.texts["header"] and "Worst case" not in page.texts["header"]


def test_unknown_verdicts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="verdict is 'safe'; it must be one of 'protected', 'partly protected'"):
        report(tmp_path, make_audit(verdict="safe"))
    assert not list(tmp_path.rglob("*.html"))


def test_key_figures_are_printed(standard: tuple[str, Page]) -> None:
    figures = standard[1].texts["figures"]
    for figure in ("49.4 dB", "0.9954", "4 gray levels", "0.632", "0.629", "0.914", "0.987"):
        assert figure in figures, figure


def test_numbers_that_were_not_measured_are_never_zero(tmp_path: Path) -> None:
    utility = dict.fromkeys(make_audit()["utility"])
    worst: Any = make_audit()["worst"]
    worst |= {"clean_ceiling": None, "ratio": None}
    page = report(tmp_path, make_audit(utility=utility, worst=worst, worst_cases=[]))[1]
    assert page.texts["figures"].count("not measured") == 7
    assert not re.search(r"\d (dB|Dice|gray levels) ", page.texts["figures"])
    assert "not measured" in page.texts["radiomics"] and "not measured" in page.texts["worst-cases"]
    assert "its clean ceiling was not measured" in page.texts["header"]
    ceiling = [line for line in page.lines if line[:1] == ["clean files (ceiling)"]]
    assert ["not measured"] * 4 in [line[1:] for line in ceiling]


def test_single_radiomics_feature_may_be_missing_and_the_largest_change_comes_first(tmp_path: Path) -> None:
    features = {"mean": 0.01, "lost": None, "entropy": -0.2, "contrast": 0.1}
    page = report(tmp_path, make_audit(utility=make_audit()["utility"] | {"radiomics": features}))[1]
    shown = [line for line in page.lines if line[0] in features]
    assert shown == [
        ["entropy", f"-20.0{NBSP}%"],
        ["contrast", f"10.0{NBSP}%"],
        ["mean", f"1.0{NBSP}%"],
        ["lost", "not measured"],
    ]


def test_heat_map_shows_dice_and_ceiling_and_leaves_cells_that_were_not_run_empty(standard: tuple[str, Page]) -> None:
    html, page = standard
    lines = {line[0]: line[1:] for line in page.lines if len(line) == 3}
    assert lines["none"] == ["0.05of 0.63", "0.22of 0.67"]
    assert lines["blur-1.0Gaussian blur, sigma 1.0"] == ["0.10no ceiling", "0.40of 0.64worst"]
    assert lines["jpeg-60"] == ["0.20of 0.60", "not run"]
    cells = [attributes["class"] for tag, attributes in page.tags if tag == "td" and "class" in attributes]
    # ratios .08, .34 / none, .63 / .33, not run / and, among the costlier attacks, .98
    assert cells == ["shade-0", "shade-2", "shade-none", "shade-3 worst", "shade-2", "empty", "shade-4"]
    for name in ("shade-0", "shade-1", "shade-2", "shade-3", "shade-4", "shade-none", "empty"):
        assert f'class="swatch {name}"' in html  # the legend


def test_table_has_all_measures_of_protected_clean_and_untrained(standard: tuple[str, Page]) -> None:
    _, page = standard
    dice = ["0.050", "0.025", "0.017", "0.013"]
    assert ["unet-batchnone", f"8{NBSP}%", "1", "1", "protected files", *dice] in page.lines
    assert ["clean files (ceiling)", "0.630", "0.315", "0.210", "0.158"] in page.lines
    assert ["nothing (floor)", "0.110", "0.055", "0.037", "0.028"] in page.lines
    heads = [line[-4:] for line in page.lines if "trained on" in line]
    assert heads == [list(MEASURES.values())] * 2


def test_several_seeds_have_a_standard_deviation_and_one_has_none(standard: tuple[str, Page]) -> None:
    html, page = standard
    line = next(line for line in page.lines if line[0] == "unet-instancenone" and len(line) == 9)
    assert line[2] == "3" and line[3] == "1" and line[5] == f"0.233{NBSP}±{NBSP}0.010"
    assert 'title="0.223, 0.233, 0.243"' in html
    single = next(line for line in page.lines if line[0] == "unet-batchnone" and len(line) == 9)
    assert not any("±" in cell for cell in single)


def test_costlier_attacks_are_printed_apart_from_what_counts(tmp_path: Path, standard: tuple[str, Page]) -> None:
    page = standard[1]
    assert "Costlier attacks, not part of the verdict" in page.texts["costly"]
    assert "adversarial-1" in page.texts["costly"] and "adversarial-1" not in page.texts["scores"]
    rows = [row for row in make_audit()["rows"] if row["cheap"]]
    assert "costly" not in report(tmp_path, make_audit(rows=rows))[1].texts


def test_controls_are_not_taken_for_networks_trained_on_protected_files(
    tmp_path: Path, standard: tuple[str, Page]
) -> None:
    control = make_row("unet-batch", "clean-60", 0.58, 0.63, cheap=False)
    control["control"] = True
    page = report(tmp_path, make_audit(rows=[*make_audit()["rows"], control]))[1]
    line = next(line for line in page.lines if line[0] == "unet-batchclean-60")
    assert line[4] == "clean part alone (control)"
    assert "A control never sees a protected file" in page.texts["costly"]
    assert "control" not in standard[1].texts["costly"]


def test_curves_worst_cases_command_settings_and_versions_are_printed(standard: tuple[str, Page]) -> None:
    page = standard[1]
    assert "clean 1.25 → 0.50, protected 1.12 → 0.25" in page.texts["curves"]
    assert ["benign (7)", "unet-instance", "blur-1.0", "0.812"] in page.lines
    assert make_audit()["command"] in page.texts["reproduce"]
    for line in (["grid", "[128, 128]"], ["intensity_window", "null"], ["network_size", "small"], ["torch", "2.13.0"]):
        assert line in page.lines
    assert "delay, not a guarantee" in page.texts["limits"]


def test_destroyed_files_are_named_next_to_the_verdict(tmp_path: Path) -> None:
    page = report(tmp_path, make_audit(utility=make_audit()["utility"] | {"destroyed": True}))[1]
    assert "The files are destroyed, not protected" in page.texts["header"]


def test_pictures_have_sliders_a_factor_and_a_legend(standard: tuple[str, Page]) -> None:
    page = standard[1]
    assert sum(tag == "input" and attributes["type"] == "range" for tag, attributes in page.tags) == 2
    assert f"difference {TIMES} {GAIN}" in page.texts["pictures"] and "+6.4" in page.texts["pictures"]
    assert "largest change 4 of 255 gray levels" in page.texts["pictures"]
    for text in ("true outline", "trained on clean files: Dice 0.88", "trained on protected files: Dice 0.12"):
        assert text in page.texts["predictions"]
    assert all(attributes["alt"] for tag, attributes in page.tags if tag == "img")
    assert sum(tag == "img" for tag, _ in page.tags) == 2 * 3 + 2 * 3 + 1


def test_report_without_pictures_curves_and_rows_is_still_a_report(tmp_path: Path) -> None:
    page = report(tmp_path, make_audit(rows=[], curves={}, warnings=[], worst_cases=[]), Pictures())[1]
    assert "Nothing that counts for the verdict was run" in page.texts["scores"]
    assert not {"pictures", "predictions", "curves", "costly"} & page.texts.keys()
    assert "says little" not in page.texts["header"]


def test_nothing_is_loaded_from_elsewhere(standard: tuple[str, Page]) -> None:
    html, page = standard
    assert not re.search(r"https?://|url\(|@import", html)
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    policies = [attributes for tag, attributes in page.tags if attributes.get("http-equiv")]
    assert policies[0]["content"] is not None and policies[0]["content"].startswith("default-src 'none'; img-src data:")


def test_page_fits_phones_both_schemes_and_paper(standard: tuple[str, Page]) -> None:
    html, page = standard
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert "prefers-color-scheme: dark" in html and "@media print" in html
    assert html.count("<table") == html.count('<div class="scroll')


EVIL = '<script>x</script>"><img src=x onerror=alert(1)>'


def test_names_never_become_markup(tmp_path: Path, standard: tuple[str, Page]) -> None:
    plain = standard[1]
    audit: Any = copy.deepcopy(make_audit())
    for row in audit["rows"]:
        row["exploiter"] += EVIL
        row["defense"] += EVIL
        row["summary"] = EVIL
    audit["worst"] |= {"exploiter": "unet-instance" + EVIL, "defense": "blur-1.0" + EVIL}
    audit |= {"reason": EVIL, "warnings": [EVIL], "command": EVIL, "settings": {EVIL: [EVIL]}, "versions": {EVIL: EVIL}}
    audit["utility"]["radiomics"] = {EVIL: 0.1}
    audit["curves"] = {EVIL: audit["curves"]["unet-batch"]}
    audit["worst_cases"][0]["id"] = EVIL
    html, page = report(tmp_path, audit, make_pictures(name=EVIL))
    for tag in ("script", "img"):
        assert [name for name, _ in page.tags].count(tag) == [name for name, _ in plain.tags].count(tag)
    assert EVIL not in html and EVIL in page.texts["worst-cases"] and EVIL in page.texts["pictures"]


def test_same_audit_gives_the_same_bytes(tmp_path: Path) -> None:
    assert report(tmp_path)[0] == report(tmp_path)[0]


def test_failure_leaves_an_older_report_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = report(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        report(tmp_path, make_audit(reason="another"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
    assert (tmp_path / "new" / "report.html").read_text(encoding="utf-8") == before
