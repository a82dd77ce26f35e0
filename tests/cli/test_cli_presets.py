"""Presets, keys and a target PSNR on the command line: what they change in the files that are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from protected_folder import noise, square, write_array
from typer.testing import CliRunner

import monai_umed as mu
from monai_umed.cli import app
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import Manifest

QUICK = ("--epochs", "3", "--no-progress")


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def protect(data: Path, out: Path, *options: str | Path) -> Manifest:
    run("protect", data, out, *QUICK, *options)
    return Manifest.load(out / "protected" / "manifest.json")


def mean_psnr(manifest: Manifest) -> float:
    return sum(case.psnr or 0 for case in manifest.cases) / len(manifest.cases)


def changes(data: Path, out: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """By how many gray levels each image differs inside and outside of its region."""
    for case in find_cases(out / "protected"):
        images = (np.asarray(Image.open(folder / case.image.name)) for folder in (data / "images", case.image.parent))
        before, after = (image.astype(int) for image in images)
        inside = np.asarray(Image.open(case.label)) > 0
        difference = abs(after - before)
        yield difference[inside], difference[~inside]


def test_strong_spends_three_times_the_budget_and_a_target_takes_some_back(tiny_phantom: Path, tmp_path: Path) -> None:
    strong = protect(tiny_phantom, tmp_path / "strong", "--preset", "strong")
    assert strong.eps == pytest.approx(12 / 255)
    for inside, outside in changes(tiny_phantom, tmp_path / "strong"):
        assert (inside.max(), outside.max()) == (12, 0)
    weaker = protect(tiny_phantom, tmp_path / "weaker", "--preset", "strong", "--target-psnr", "46")
    assert mean_psnr(strong) < 46 <= mean_psnr(weaker)


@pytest.mark.parametrize(("preset", "levels"), [("default", 4), ("invisible", 3), ("medium", 8)])
def test_the_whole_region_and_nothing_else_changes(
    preset: str, levels: int, tiny_phantom: Path, tmp_path: Path
) -> None:
    manifest = protect(tiny_phantom, tmp_path / "out", "--preset", preset)
    assert {case.max_abs_delta for case in manifest.cases} == {levels}
    for inside, outside in changes(tiny_phantom, tmp_path / "out"):
        assert not outside.any()
        assert (inside > 0).mean() > 0.8  # a checkerboard passes through 0 between its squares


def test_the_contour_preset_is_refused_for_methods_with_bounds(tiny_phantom: Path, tmp_path: Path) -> None:
    arguments = ["protect", str(tiny_phantom), str(tmp_path / "out"), "--preset", "contour", "--protector", "em"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "or give bound=band" in " ".join(result.output.replace("│", " ").split())


def test_a_key_decides_the_pattern_and_no_file_of_the_run_holds_it(tiny_phantom: Path, tmp_path: Path) -> None:
    files = {}
    for out, name in (("mine", "one"), ("again", "one"), ("theirs", "two")):
        key = tmp_path / f"{name}.key"
        if not key.exists():
            run("new-key", key)
        manifest = protect(tiny_phantom, tmp_path / out, "--pattern-key", key)
        files[out] = [case.sha256_after for case in manifest.cases]
        secret = key.read_bytes().split(b"\n")[1]
        for file in (tmp_path / out).rglob("*"):
            assert file.is_dir() or secret not in file.read_bytes()
    assert files["mine"] == files["again"]
    assert not set(files["mine"]) & set(files["theirs"])


@pytest.mark.parametrize("options", [("--preset", "strong"), ("--target-psnr", "50"), ("--pattern-key", "x.key")])
def test_what_a_fit_has_settled_is_refused_beside_a_checkpoint(
    options: tuple[str, str], tiny_phantom: Path, tmp_path: Path
) -> None:
    arguments = ["protect", str(tiny_phantom), str(tmp_path / "out"), "--checkpoint", "any.pt", *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "settled when the checkpoint was fitted" in " ".join(result.output.split())


def test_stamp_is_the_constant_stamp_without_generators(tiny_phantom: Path, tmp_path: Path) -> None:
    run("protect", tiny_phantom, tmp_path / "preset", "--preset", "stamp", "--no-progress")
    run("protect", tiny_phantom, tmp_path / "method", "--protector", "constant-stamp", "--no-progress")
    preset, method = (Manifest.load(tmp_path / name / "protected" / "manifest.json") for name in ("preset", "method"))
    assert preset.protector == method.protector and preset.protector.startswith("ConstantStamp(")
    assert [case.sha256_after for case in preset.cases] == [case.sha256_after for case in method.cases]


def test_a_preset_that_another_one_beats_warns_and_means_what_it_meant(tiny_phantom: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="preset 'contour' is beaten by 'invisible'"):
        protect(tiny_phantom, tmp_path, "--preset", "contour")
    assert "band_side='both'" in Manifest.load(tmp_path / "protected" / "manifest.json").protector


def write_colors(folder: Path) -> Path:
    """Twelve images whose brightness varies more than their colors, one of them with an alpha channel."""
    rng = np.random.default_rng(0)
    for index in range(12):
        pixels = rng.integers(60, 160) + rng.integers(-3, 4, (48, 48, 3)) + np.array([30, 0, -20])
        if index == 3:
            pixels = np.dstack([pixels, rng.integers(0, 256, (48, 48))])
        write_array(folder / "images" / f"{index}.png", pixels.astype(np.uint8))
        write_array(folder / "masks" / f"{index}.png", square((48, 48)))
    return folder


def test_a_tint_moves_colors_both_ways_and_says_first_how_far_apart(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write_colors(tmp_path / "data")
    release = mu.protect(data, tmp_path / "out", preset="tint", section="all", progress=False)
    printed = capfd.readouterr().out
    assert printed.index("separability d'") < printed.index("Protected 12 cases") and "CIEDE2000" in printed
    assert not release.problems and release.manifest is not None
    record = release.manifest.cases[3]
    assert record.ciede2000 is not None and 0.5 < record.ciede2000 < 4 and record.max_abs_delta == 4
    before, after = (np.asarray(Image.open(folder / "images" / "3.png")) for folder in (data, release.protected))
    assert np.array_equal(before[..., 3], after[..., 3])


def test_keys_choose_among_tints_and_records_do_not_tell_which(tmp_path: Path) -> None:
    data = write_colors(tmp_path / "data")
    moved, records = set(), set()
    for number in range(8):
        key = mu.new_key(tmp_path / f"{number}.key")
        out = tmp_path / f"out{number}"
        mu.protect(data, out, preset="tint", section="all", pattern_key=key, progress=False)
        pair = [np.asarray(Image.open(folder / "images" / "0.png")).astype(int) for folder in (data, out / "protected")]
        moved.add(tuple((pair[1] - pair[0])[24, 24]))
        records.add(Manifest.load(out / "protected" / "manifest.json").protector)
    assert len(moved) > 1 and len(records) == 1


def test_gray_images_are_no_case_for_a_tint(tiny_phantom: Path, tmp_path: Path) -> None:
    arguments = ["protect", str(tiny_phantom), str(tmp_path / "out"), "--preset", "tint", "--no-progress"]
    result = CliRunner().invoke(app, arguments)
    cause = result.exception
    while cause is not None and cause.__cause__ is not None:  # the entry point shows the first cause alone
        cause = cause.__cause__
    assert result.exit_code != 0 and "have one channel" in str(cause) and "use the preset strong" in str(cause)
    assert not (tmp_path / "out" / "protected").exists()


def test_a_method_takes_arguments_of_its_own(tiny_phantom: Path, tmp_path: Path) -> None:
    run("protect", tiny_phantom, tmp_path, "--protector", "constant-stamp:period=8", "--no-progress")
    assert "period=8.0" in Manifest.load(tmp_path / "protected" / "manifest.json").protector


def test_the_stamp_of_volumes_has_their_period_and_keeps_their_voxels(tmp_path: Path) -> None:
    write_array(tmp_path / "in" / "imagesTr" / "a.nii.gz", noise((20, 24, 18), 2000).astype(np.int16))
    write_array(tmp_path / "in" / "labelsTr" / "a.nii.gz", square((20, 24, 18), 1))
    run("protect", tmp_path / "in", tmp_path / "out", "--preset", "stamp", "--section", "all", "--no-progress")
    protector = Manifest.load(tmp_path / "out" / "protected" / "manifest.json").protector
    assert "period=2.0" in protector and "native=True" in protector


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--protector", "em"), "which is constant-stamp"),
        (("--epochs", "3"), "not constant-stamp"),
        (("--protector", "constant-stamp:perod=2"), "Did you mean 'period'?"),
    ],
)
def test_stamp_with_options_of_other_methods_is_refused(
    options: tuple[str, str], message: str, tiny_phantom: Path, tmp_path: Path
) -> None:
    arguments = ["protect", str(tiny_phantom), str(tmp_path / "out"), "--preset", "stamp", *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
