"""Several channels in MONAI's pipelines: from a file with a fourth axis, or from a list of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from channel_datasets import write_decathlon, write_nnunet
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, ScaleIntensityRangePercentilesd
from protected_folder import EPS, small_protector

from monai_umed.data.cases import find_cases
from monai_umed.io.joint_path import joint_files
from monai_umed.transforms import UMedProtectd


@pytest.mark.parametrize(("write", "channels"), [(write_decathlon, 4), (write_nnunet, 2)])
def test_every_channel_is_protected_in_its_own_window(tmp_path: Path, write: Any, channels: int) -> None:
    write(tmp_path)
    case = find_cases(tmp_path)[0]
    files = joint_files(case.image)
    keys = ["image", "label"]
    steps: list[Any] = [
        LoadImaged(keys),
        EnsureChannelFirstd(keys),
        ScaleIntensityRangePercentilesd("image", 0.5, 99.5, b_min=0, b_max=1, clip=True, channel_wise=True),
    ]
    paths = {"image": case.image if files is None else [str(file) for file in files.values()], "label": case.label}
    before = Compose(steps)(paths)
    after = Compose([*steps, UMedProtectd("image", small_protector(channels, 3))])(paths)
    change = torch.as_tensor(after["image"] - before["image"]).abs().flatten(1).amax(1)
    assert change.shape == (channels,) and (change > 0).all() and (change <= EPS * (1 + 1e-5)).all()
    with pytest.raises(ValueError, match=rf"The image has {channels} channel\(s\), the protector was fitted on 3"):
        UMedProtectd("image", small_protector(3, 3))(before)
