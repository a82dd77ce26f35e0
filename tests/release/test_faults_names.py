"""Nothing is written outside of the output folder, whatever cases are called and wherever links lead."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_folders import SHAPE, protect, write_dataset
from protected_folder import small_protector, square, tree, write_array

from monai_umed.data.case import Case, DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED, Manifest, ManifestError
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import verify_folder
from monai_umed.sealing.restore import restore_dataset

KEY = bytes(32)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "dataset")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that must stay as it is."""
    folder = tmp_path / "outside"
    write_array(folder / "a.bmp", square(SHAPE))
    before = tree(folder)
    yield folder
    assert tree(folder) == before


# Links in the output folder: what is made of them -> what the error names


def link_image(out: Path, outside: Path) -> None:
    (out / "images").mkdir()
    (out / "images" / "a.bmp").symlink_to(outside / "a.bmp")


LINKS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "a folder of images": (lambda out, outside: (out / "images").symlink_to(outside), "images: a link"),
    "a folder of masks": (lambda out, outside: (out / "masks").symlink_to(outside), "masks: a link"),
    "an image": (link_image, "images/a.bmp: a link"),
    "a manifest": (lambda out, outside: (out / MANIFEST).symlink_to(outside / "a.bmp"), "manifest.json: a link"),
    "a journal": (lambda out, outside: (out / UNFINISHED).symlink_to(outside / "a.bmp"), ".unfinished: a link"),
    "nowhere": (lambda out, outside: (out / "images").symlink_to(outside / "none"), "images: a link"),
    "itself": (lambda out, outside: (out / "images").symlink_to(out / "images"), "images: a link"),
}


@pytest.mark.parametrize("unfinished", [True, False])
@pytest.mark.parametrize("link", LINKS)
def test_a_link_in_the_output_folder_is_refused(
    dataset: Path, tmp_path: Path, outside: Path, link: str, unfinished: bool
) -> None:
    make, text = LINKS[link]
    out = tmp_path / "out"
    out.mkdir()
    if unfinished and link != "a journal":
        (out / UNFINISHED).touch()
    make(out, outside)
    before = sorted(out.rglob("*"))
    with pytest.raises(DatasetError) as error:
        protect(dataset, out)
    assert error.value.offenders == (f"{text}; replace it by what it points to, or choose an empty folder",)
    assert sorted(out.rglob("*")) == before


# Names of cases that were not found but made up

NAMES = ("..", "a\\b.bmp", "a\\..\\..\\b.bmp", "c:a.bmp", "a\udcff.bmp")


@pytest.mark.parametrize("part", ["image", "label"])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_that_leads_elsewhere_on_some_system_is_refused(
    dataset: Path, tmp_path: Path, name: str, part: str
) -> None:
    good = find_cases(dataset)[0]
    other = dataset / "images" / "deeper" / name
    case = Case("x", *(other, good.label) if part == "image" else (good.image, other))
    with pytest.raises(DatasetError, match="rename it") as error:
        protect_dataset([case], small_protector(), tmp_path / "out", progress=False)
    str(error.value).encode()
    assert not (tmp_path / "out").exists()


def test_cases_without_a_name_or_with_the_same_id_are_refused(dataset: Path, tmp_path: Path) -> None:
    good = find_cases(dataset)
    for cases, text in (
        ([Case("x", Path(), good[0].label)], "'': no plain file name"),
        ([Case("x", good[0].image, good[0].label), Case("x", good[1].image, good[1].label)], "x: two cases have"),
    ):
        with pytest.raises(DatasetError, match=text):
            protect_dataset(cases, small_protector(), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_datalist_that_leaves_its_folder_is_refused(dataset: Path, tmp_path: Path, outside: Path) -> None:
    (dataset / "link.bmp").symlink_to(outside / "a.bmp")
    for name in ("../outside/a.bmp", str(outside / "a.bmp"), "images/../../outside/a.bmp", "link.bmp"):
        (dataset / "list.json").write_text(json.dumps({"training": [{"image": name, "label": "masks/a.png"}]}))
        with pytest.raises(DatasetError, match="leaves the dataset's folder"):
            find_cases(dataset / "list.json")


def test_names_that_are_odd_but_plain_are_protected(dataset: Path, tmp_path: Path) -> None:
    for name in ("a b (1)", "ä\u3000日本", "x" * 200, "a'$(id)`;", "-rf", "a\nb"):
        shutil.copy(dataset / "images" / "a.bmp", dataset / "images" / f"{name}.bmp")
        write_array(dataset / "masks" / f"{name}.png", square(SHAPE))
    assert len(protect(dataset, tmp_path / "out").cases) == 9
    assert verify_folder(tmp_path / "out", dataset, progress=False) == []


# Manifests of strangers


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    protect(write_dataset(folder / "dataset"), folder / "release")
    return folder / "release"


@pytest.fixture
def release(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(made, tmp_path / "release")


@pytest.mark.parametrize("field", ["image", "label", "source"])
@pytest.mark.parametrize("name", ["../outside/a.bmp", "/etc/passwd", "..\\outside\\a.bmp", "c:\\a", "a\0", "a\udcff"])
def test_a_manifest_whose_names_leave_the_folder_is_refused(
    release: Path, tmp_path: Path, outside: Path, field: str, name: str
) -> None:
    content = json.loads((release / MANIFEST).read_text())
    content["cases"][0][field] = name
    (release / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=rf"cases\[0\]\.{field}"):
        Manifest.load(release / MANIFEST)
    [problem] = verify_folder(release, progress=False)
    assert problem.id == MANIFEST and field in problem.what
    problem.what.encode()
    with pytest.raises(ManifestError):
        restore_dataset(release, release, tmp_path / "back", key=KEY, progress=False)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("target", ["/dev/zero", "outside/a.bmp"])
def test_a_link_out_of_a_release_is_named_and_never_read(
    release: Path, tmp_path: Path, outside: Path, target: str
) -> None:
    """The first one never ends."""
    if target.startswith("/dev") and not Path(target).exists():
        pytest.skip(f"no {target} here")
    (release / "images" / "a.bmp").unlink()
    (release / "images" / "a.bmp").symlink_to(tmp_path / target)
    problems = {problem.id: problem.what for problem in verify_folder(release, progress=False)}
    assert "is a link that leaves" in problems["a"]


def test_links_in_the_dataset_may_lead_anywhere_because_they_are_only_read(
    dataset: Path, tmp_path: Path, outside: Path
) -> None:
    image = dataset / "images" / "a.bmp"
    image.rename(dataset / "kept.bmp")
    image.symlink_to(dataset / "kept.bmp")
    original = image.readlink()
    protect(dataset, tmp_path / "out")
    assert image.readlink() == original and not (tmp_path / "out" / "images" / "a.bmp").is_symlink()
