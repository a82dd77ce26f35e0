"""The picture: a small PNG from two folders, and plain messages where it cannot be made."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_umed.data.cases import find_cases
from monai_umed.data.phantom import write_phantom
from monai_umed.tools.picture import lesion_share, main, make_picture, spread, square


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("picture")
    clean = write_phantom(root / "clean", num_train=4, num_test=2)
    for case in find_cases(clean, "train"):
        for path in (case.image, case.label):
            target = root / "protected" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return clean, root / "protected"


def command(clean: Path, protected: Path, output: Path, *more: str) -> list[str]:
    return ["--dataset_dir", str(clean), "--protected_dir", str(protected), "--output", str(output), *more]


def test_command_writes_a_small_png(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "picture.png"
    main(command(*folders, output, "--epochs", "1"))
    with Image.open(output) as image:
        assert image.format == "PNG"
        assert image.width >= 900 > image.height > 300  # two rows: there are two test images
    assert output.stat().st_size < 300_000
    assert "Dice on clean test images" in capsys.readouterr().out


def test_wrong_input_ends_before_any_training(folders: tuple[Path, Path], tmp_path: Path) -> None:
    clean, protected = folders
    output = tmp_path / "picture.png"
    with pytest.raises(SystemExit, match="no such folder; check the path"):
        main(command(clean, tmp_path / "missing", output))
    with pytest.raises(SystemExit, match="Unknown: ghost"):
        main(command(clean, protected, output, "--cases", "phantom_0001,ghost"))
    other = tmp_path / "other"
    shutil.copytree(protected, other)
    for folder in ("images", "masks"):
        for path in (other / folder).iterdir():
            path.rename(path.with_name(f"x{path.name}"))
    with pytest.raises(SystemExit, match=r"no training image of .* is in it; pass the folder that was protected from"):
        main(command(clean, other, output))
    assert not output.exists()


def test_volumes_are_refused(tmp_path: Path) -> None:
    volumes = write_phantom(tmp_path / "volumes", spatial_dims=3, num_train=1, num_test=1)
    with pytest.raises(ValueError, match="2D images"):
        make_picture(volumes, volumes, tmp_path / "picture.png", progress=False)


def test_cases_are_spread_over_lesion_sizes(folders: tuple[Path, Path]) -> None:
    cases = find_cases(folders[0])
    shares = [lesion_share(case) for case in spread(cases, 3)]
    assert shares == sorted(shares) and len(set(shares)) == 3
    assert [case.id for case in spread(cases[::-1], 3)] == [case.id for case in spread(cases, 3)]


def test_crop_is_a_square_within_the_image_around_the_lesion() -> None:
    mask = np.zeros((20, 50), dtype=np.uint8)
    mask[5:9, 44:48] = 1
    assert mask[square(mask)].shape == (20, 20)
    assert mask[square(mask)].sum() == mask.sum()
