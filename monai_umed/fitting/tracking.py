"""Log to MLflow what MONAI's handler does not: settings of a fit, and its figures, files and pictures at the end."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from monai.handlers import MLFlowHandler
from PIL import Image

from ..data.case import Case
from ..data.cases import Section, find_cases
from ..data.codec import read_image
from ..data.loading import load_case
from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir
from ..io.display import difference, gray_levels
from ..io.stored import IntensityWindow

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PICTURES = 3
LONGEST_PARAMETER = 500
"""Largest number of characters of a setting's value, which every version of MLflow accepts."""


def prepare_tracking(handlers: Iterable[Any], settings: DataclassInstance) -> None:
    """Let MLflow handlers log the settings of a fit, and keep their run open for its results.

    Args:
        handlers: handlers of a trainer that does not exist yet; other kinds are ignored.
        settings: a dataclass, whose fields become parameters; long values are cut.
    """
    for handler in _mlflow(handlers):
        handler.experiment_param = {name: str(value)[:LONGEST_PARAMETER] for name, value in asdict(settings).items()}
        handler.close_on_complete = False


def track_results(
    handlers: Iterable[Any],
    output_dir: str | Path,
    *,
    dataset_dir: DatasetDir,
    section: Section = "train",
    num_classes: int = 2,
    intensity_window: IntensityWindow | None = None,
) -> None:
    """Log the results of a fit to the MLflow handlers, if any, and close their run.

    These are the figures of ``quick_check.json`` or, without it, of the manifest; both files, the settings and the
    executed config; and a few images next to their protected copies and the amplified differences. Weights are not
    logged, because they are secret.

    Args:
        handlers: the same handlers as for :func:`prepare_tracking`.
        output_dir: folder of the fit.
        dataset_dir: the clean dataset, see :func:`monai_umed.data.cases.find_cases`.
        section: section that was protected.
        num_classes: classes of the masks, background included.
        intensity_window: intensities that map to 0 and 1.
    """
    output_dir = Path(output_dir)
    protected, check = output_dir / "protected", output_dir / "quick_check.json"
    for handler in _mlflow(handlers):
        run = cast(Any, handler.cur_run).info.run_id
        figures = (
            json.loads(check.read_bytes()) if check.is_file() else Manifest.load(protected / MANIFEST).mean_fidelity()
        )
        for name, value in figures.items():
            if isinstance(value, str):
                handler.client.set_tag(run, name, value)
            elif value is not None:
                handler.client.log_metric(run, name, value)
        # MONAI 1.6 does not log the config that it wrote if output_dir was given on the command line.
        configs = sorted(output_dir.glob("config_*.json"))[-1:]
        for file in (*configs, output_dir / "settings.json", check, protected / "manifest.json"):
            if file.is_file():
                handler.client.log_artifact(run, str(file))
        with TemporaryDirectory() as folder:
            for case, picture in _pictures(find_cases(dataset_dir, section), protected, num_classes, intensity_window):
                (Path(folder) / f"{case.id.replace('/', '_')}.png").write_bytes(picture)
            handler.client.log_artifacts(run, folder, "pictures")
        handler.close()


def _mlflow(handlers: Iterable[Any]) -> list[MLFlowHandler]:
    return [handler for handler in handlers if isinstance(handler, MLFlowHandler)]


def _pictures(
    cases: Sequence[Case], protected_dir: Path, num_classes: int, intensity_window: IntensityWindow | None
) -> Iterator[tuple[Case, bytes]]:
    """Yield original, protected copy and difference side by side, for a few evenly spaced cases."""
    copies = {case.id: case for case in find_cases(protected_dir)}
    shared = [case for case in cases if case.id in copies]
    for case in shared[:: -(-len(shared) // PICTURES)]:
        loaded = load_case(case, num_classes, intensity_window)
        foreground = loaded.label[0] > 0
        index = int(foreground.sum(axis=(0, 1)).argmax()) if foreground.ndim == 3 else 0
        stored = loaded.stored
        before, after = (
            gray_levels(image.in_window(stored.intensity_window).scaled(), (0.0, 1.0), index)
            for image in (stored, read_image(copies[case.id].image))
        )
        buffer = io.BytesIO()
        Image.fromarray(np.concatenate([before, after, difference(before, after)], axis=1)).save(buffer, "png")
        yield case, buffer.getvalue()
