"""Make a small copy of a dataset, for trials in minutes: ``python -m monai_umed.tools.shrink DATA OUT --side 64``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..data.cases import find_cases, find_sections
from ..data.loading import load_case
from ..functional.resampling import resize


def shrink(data: str, output: Path, side: int) -> int:
    """Write images of ``side`` x ``side`` pixels, averaged by area, their masks and the split; returns their number.

    Args:
        data: dataset of images with two classes.
        output: folder to write.
        side: in pixels.
    """
    for name in ("images", "masks"):
        (output / name).mkdir(parents=True)
    cases = find_cases(data)
    for case in cases:
        loaded = load_case(case)
        image = resize(torch.from_numpy(loaded.stored.scaled())[None], (side, side))[0]
        mask = resize(torch.from_numpy(loaded.label[None]).float(), (side, side))[0, 0] >= 0.5
        pixels = (255 * image).round().to(torch.uint8).numpy()
        Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)).save(
            output / "images" / f"{case.id}.png"
        )
        Image.fromarray((255 * mask).to(torch.uint8).numpy()).save(output / "masks" / f"{case.id}.png")
    sections = find_sections(data)[0]
    split = {name: [id for id, section in sections.items() if section == name] for name in ("train", "test")}
    (output / "split.json").write_text(json.dumps(split, indent=1) + "\n", encoding="utf-8")
    return len(cases)


def main() -> None:
    """Write a small copy of a dataset."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data")
    parser.add_argument("output", type=Path)
    parser.add_argument("--side", type=int, default=64)
    options = parser.parse_args()
    print(f"Wrote {shrink(options.data, options.output, options.side)} cases into {options.output}.")


if __name__ == "__main__":
    main()
