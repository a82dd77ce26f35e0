"""Draw the pictures of the pages: ``python -m monai_umed.tools.illustrations NAME --output FILE.png``.

``frontier`` shows visibility against what exploiters still learn, from ``docs/results``; ``levels`` a phantom at a few
budgets, pixel by pixel; ``heat-map`` audits of BUSI, or one of your own; ``viewer`` a protected DICOM file as a
viewer shows it. No picture shows a patient.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

import monai_umed as mu

from ..data.phantom import make_phantom
from ..defenses.registry import defense_entry
from ..evaluation.audit.scores import AuditScores
from ..io.atomic import write_atomically
from .tables import Row, read_results

LEVELS = (4, 8, 12)  # gray levels of 255
SHOWN = 160  # px, side of a cut-out at its own size; four of them fit into a page
CASE = 7  # number of the phantom that is drawn
ATTACKS = {"none": "just trains", "jpeg-30": "compresses", "random-crop": "crops", "nnunet": "augments as nnU-Net"}
INK, GRAY = "#1b2128", "#59636e"
POINTS = "points"  # name of the text in a PNG file that says what it was drawn from


def frontier_points() -> dict[str, list[list[float]]]:
    """PSNR and share of the clean Dice of every preset on BUSI that met all attacks, by attack."""
    where = {"dataset": "BUSI", "network": "unet-instance", "arguments": ""}
    rows = [row for row in read_results("defenses.csv") if all(row[key] == value for key, value in where.items())]
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["defense"] in ATTACKS and row["ceiling"]:
            found.setdefault(row["preset"], {})[row["defense"]] = row
    return {
        preset: [
            [float(row["psnr"]), float(row["dice"]) / float(row["ceiling"])] for row in map(met.get, ATTACKS) if row
        ]
        for preset, met in sorted(found.items())
        if set(met) == set(ATTACKS)
    }


def draw_frontier(output: Path) -> None:
    """Draw what each attack brings back over PSNR, a line for each preset; its name stands at the worst case."""
    from matplotlib.figure import Figure

    points = frontier_points()
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, (name, marker) in enumerate(zip(ATTACKS.values(), "os^D", strict=True)):
        axes.plot(*zip(*(met[index] for met in points.values()), strict=True), marker, label=name, markersize=6)
    for index, (preset, met) in enumerate(sorted(points.items(), key=lambda item: item[1][0][0])):
        x, shares = met[0][0], [share for _, share in met]
        axes.vlines(x, min(shares), max(shares), color=INK, linewidth=0.7, zorder=1)
        side = ("right", "left")[index % 2]  # away from each other, because neighbors are close
        axes.annotate(preset, (x, max(shares)), (0, 8), textcoords="offset points", ha=side, color=INK)
    axes.axhline(0.5, color=GRAY, linestyle="--", linewidth=1)
    axes.annotate("half, the limit of an audit", (44, 0.5), (0, 4), textcoords="offset points", color=GRAY, ha="center")
    axes.set(xlabel="PSNR (dB); less visible to the right", ylabel="share of what clean files teach", ylim=(0, 1.15))
    axes.margins(x=0.1)
    figure.legend(loc="outside lower center", ncols=len(ATTACKS), fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={POINTS: json.dumps(points)})
    write_atomically(output, buffer.getvalue())


def protect_phantom(folder: Path, eps: int, write: Callable[[np.ndarray, Path], Path]) -> Path:
    """Protect one phantom, written as a file by ``write``, with the preset stamp; returns the protected file."""
    image, label = make_phantom(0, CASE)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(label).save(folder / "masks" / "phantom.png")
    file = write(image, folder / "images")
    out = folder / f"OUT{eps}"
    mu.protect(folder, out, preset="stamp", eps=f"{eps}/255", section="all", progress=False)
    return out / "protected" / "images" / file.name


def cut(image: np.ndarray) -> np.ndarray:
    """A square of an image around the structure, in its own pixels."""
    label = make_phantom(0, CASE)[1]
    middle = [round(float(places.mean())) for places in np.nonzero(label)]
    row, column = (int(np.clip(at - SHOWN // 2, 0, size - SHOWN)) for at, size in zip(middle, label.shape, strict=True))
    return image[row : row + SHOWN, column : column + SHOWN]


def beside(panels: dict[str, np.ndarray], *, gap: int = 6, head: int = 22) -> Image.Image:
    """Panels of equal size in a row, each under its title; no pixel of them is changed."""
    height, width = next(iter(panels.values())).shape
    sheet = Image.new("L", (len(panels) * (width + gap) - gap, height + head), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, (title, panel) in enumerate(panels.items()):
        sheet.paste(Image.fromarray(panel), (index * (width + gap), head))
        draw.text((index * (width + gap) + width / 2, 2), title, fill=0, font=font, anchor="ma")
    return sheet


def draw_levels(output: Path) -> None:
    """Show a phantom, and its protected copies at 4, 8 and 12 of 255 gray levels, at full size."""

    def write(image: np.ndarray, images: Path) -> Path:
        Image.fromarray(image).save(images / "phantom.png")
        return images / "phantom.png"

    panels = {"original": cut(make_phantom(0, CASE)[0])}
    with TemporaryDirectory() as folder:
        for level in LEVELS:
            with Image.open(protect_phantom(Path(folder), level, write)) as image:
                panels[f"{level}/255"] = cut(np.asarray(image))
    _save(beside(panels), output)


def audited(scores: Path | None) -> dict[tuple[str, str], tuple[float, float | None]]:
    """Dice after training on protected and on clean files by network and cheap defense: of an audit, or of BUSI."""
    if scores is not None:
        rows = AuditScores.parse(json.loads(scores.read_text(encoding="utf-8"))).rows
        return {(row.exploiter, row.defense): (row.protected, row.clean_ceiling) for row in rows if row.cheap}
    where = {"dataset": "BUSI", "preset": "default", "seeds": "1", "arguments": ""}
    return {
        (row["network"], row["defense"]): (float(row["dice"]), float(row["ceiling"]) if row["ceiling"] else None)
        for row in read_results("defenses.csv")
        if all(row[key] == value for key, value in where.items()) and defense_entry(row["defense"]).cheap
    }


def cells_of(scores: Path | None) -> list[list[str | float | None]]:
    """The same as plain values, to be written into the picture."""
    return [[*names, *values] for names, values in audited(scores).items()]


def draw_heat_map(output: Path, scores: Path | None) -> None:
    """Draw what every network learns with every cheap defense, of what clean files teach; the worst case is bold."""
    from matplotlib.figure import Figure

    cells = audited(scores)
    across, down = (list(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    ratios = np.full((len(down), len(across)), np.nan)
    for (network, defense), (protected, ceiling) in cells.items():
        if ceiling:
            ratios[down.index(defense), across.index(network)] = protected / ceiling
    figure = Figure(figsize=(1.5 + 1.3 * len(across), 0.5 + 0.3 * len(down)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(ratios, cmap="RdBu_r", vmin=-0.2, vmax=1.2, aspect="auto", alpha=0.6)
    for (network, defense), (protected, ceiling) in cells.items():
        place = across.index(network), down.index(defense)
        weight = "bold" if ceiling and protected / ceiling == np.nanmax(ratios) else None
        text = f"{protected:.2f}" + (f" of {ceiling:.2f}" if ceiling else "")
        axes.text(*place, text, ha="center", va="center", fontsize=8, fontweight=weight)
    axes.set_xticks(range(len(across)), across, fontsize=8)
    axes.set_yticks(range(len(down)), down, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={POINTS: json.dumps(cells_of(scores))})
    write_atomically(output, buffer.getvalue())


def draw_viewer(output: Path) -> None:
    """Show a DICOM phantom and its protected copy in a frame with a viewer's overlay, both in the file's own window."""
    from pydicom import dcmread, uid
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.pixels import set_pixel_data

    def write(image: np.ndarray, images: Path) -> Path:
        data: Any = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = uid.UltrasoundImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid(entropy_srcs=["phantom"])
        data.StudyInstanceUID = data.SeriesInstanceUID = uid.generate_uid(entropy_srcs=["phantom series"])
        data.Modality, data.PatientName, data.SeriesDescription = "US", "PHANTOM^NO PATIENT", "synthetic"
        data.ImageType, data.WindowCenter, data.WindowWidth = ["ORIGINAL", "PRIMARY"], 128, 256
        set_pixel_data(data, image, "MONOCHROME2", 8, generate_instance_uid=False)
        data.save_as(images / "phantom.dcm", enforce_file_format=True)
        return images / "phantom.dcm"

    with TemporaryDirectory() as folder:
        protected = protect_phantom(Path(folder), LEVELS[0], write)
        files = [dcmread(path) for path in (Path(folder) / "images" / "phantom.dcm", protected)]
    frames = [_frame(file) for file in files]
    sheet = Image.new("L", (sum(frame.width for frame in frames) + 2, frames[0].height), 90)
    for index, frame in enumerate(frames):
        sheet.paste(frame, (index * (frame.width + 2), 0))
    _save(sheet, output)


def _frame(file: Any, margin: int = 56) -> Image.Image:
    """The pixels of a DICOM file in its window, with what a viewer writes into the corners."""
    center, width = float(file.WindowCenter), float(file.WindowWidth)
    shown = np.clip((file.pixel_array.astype(float) - center + width / 2) / (width - 1) * 255, 0, 255)
    picture = Image.fromarray(cut(shown.round().astype(np.uint8)))
    frame = Image.new("L", (picture.width + 2 * margin, picture.height + 2 * margin), 0)
    frame.paste(picture, (margin, margin))
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default(11)
    corners = {
        (6, 5, "la"): f"{file.PatientName}\n{file.Modality}  {file.get('SeriesDescription', '')}",
        (frame.width - 6, 5, "ra"): "\\".join(file.ImageType) + f"\n...{file.SOPInstanceUID[-12:]}",
        (6, frame.height - 32, "la"): f"W {width:g}  L {center:g}\n{file.Columns} x {file.Rows}, zoom 100 %",
    }
    for (x, y, anchor), text in corners.items():
        align = "right" if anchor == "ra" else "left"
        draw.multiline_text((x, y), text, fill=200, font=font, anchor=anchor, align=align)
    return frame


def _save(picture: Image.Image, output: Path) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True, pnginfo=PngImagePlugin.PngInfo())
    write_atomically(output, buffer.getvalue())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m monai_umed.tools.illustrations", description=__doc__)
    parser.add_argument("name", choices=("frontier", "levels", "heat-map", "viewer"))
    parser.add_argument("--output", type=Path, required=True, help="PNG to write")
    parser.add_argument("--scores", type=Path, help="scores.json of an audit whose heat map is drawn")
    options = parser.parse_args(arguments)
    if options.name == "heat-map":
        draw_heat_map(options.output, options.scores)
    else:
        {"frontier": draw_frontier, "levels": draw_levels, "viewer": draw_viewer}[options.name](options.output)
    print(f"Wrote {options.output} ({options.output.stat().st_size / 1000:.0f} kB).")


if __name__ == "__main__":
    main()
