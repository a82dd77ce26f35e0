"""Many tiny cases: all are there afterwards, time per case does not grow with their number, memory hardly does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fault_folders import protect
from PIL import Image
from protected_folder import noise, square, tree

from monai_umed.data.manifest import MANIFEST, Manifest

SIDE = 16
MAX_GROWTH = 100  # MB from a tenth of the cases to all

# A process of its own, because memory that other tests took is never given back.
CODE = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
from protected_folder import small_protector
from monai_umed.data.cases import find_cases
from monai_umed.release.protect import protect_dataset

cases, protector = find_cases(sys.argv[2]), small_protector()
found = []
for number in (len(cases) // 10, len(cases)):
    begin = time.perf_counter()
    protect_dataset(cases[:number], protector, f"{sys.argv[2]}-{number}", progress=False)
    found.append((number, time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
print(json.dumps(found))
"""


def write_many(dataset: Path, count: int) -> Path:
    for folder in ("images", "masks"):
        (dataset / folder).mkdir(parents=True)
    mask = Image.fromarray(square((SIDE, SIDE)))
    for number in range(count):
        Image.fromarray(noise((SIDE, SIDE), seed=number).astype("uint8")).save(dataset / "images" / f"{number:05}.png")
        mask.save(dataset / "masks" / f"{number:05}.png")
    return dataset


def test_hundreds_of_cases_are_all_there(tmp_path: Path) -> None:
    manifest = protect(write_many(tmp_path / "dataset", 500), tmp_path / "out", num_workers=2)
    assert [record.id for record in manifest.cases] == [f"{number:05}" for number in range(500)]
    names = {name for record in manifest.cases for name in (record.image, record.label)}
    assert tree(tmp_path / "out").keys() == names | {MANIFEST} and len(names) == 1000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs getrusage")
def test_ten_thousand_cases_take_as_long_each_as_a_thousand_and_no_more_memory(tmp_path: Path) -> None:
    dataset = write_many(tmp_path / "dataset", 10_000)
    command = [sys.executable, "-c", CODE, str(Path(__file__).parents[1]), str(dataset)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout)
    [(few, short, before), (many, long, after)] = json.loads(done.stdout)
    assert len(Manifest.load(tmp_path / f"dataset-{many}" / MANIFEST).cases) == many == 10_000
    for folder in tmp_path.iterdir():
        shutil.rmtree(folder)  # now, not in whatever test run comes third after this one
    assert after - before < MAX_GROWTH
    assert long / many < 2 * short / few
