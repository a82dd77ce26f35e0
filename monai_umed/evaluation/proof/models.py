"""Run a model that came as a file on every query, as its owner would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer

from ...data.codec import read_image
from ...data.parallel import track
from ...functional.resampling import resize
from ...io.listing import visible
from ...io.stored import IntensityWindow
from ...io.suffixes import SUPPORTED, split_name
from ...sealing.sealed_json import ProofError
from .answers import PACKED, PROBABILITY
from .plan import IMAGES

Network = Callable[[torch.Tensor], Any]
SCRIPTS, EXPORTED = (".ts", ".pt"), ".pt2"


def load_network(path: Path, device: str = "cpu") -> Network:
    """Load a network without running code of its file: TorchScript, an exported program, or a MONAI bundle.

    Args:
        path: ``.ts`` or ``.pt`` of TorchScript, ``.pt2`` of ``torch.export``, or a bundle's folder, of which
            ``models/model.ts`` or ``models/model.pt`` with ``configs/inference.json`` is taken. A bundle's configs name
            classes and may hold expressions, so take bundles only from those whose code you would run.
        device: where it runs.

    Raises:
        ProofError: If it cannot be loaded as one of these.
    """
    try:
        if path.is_dir():
            return _load_bundle(path, device)
        if path.suffix == EXPORTED:
            return cast(Network, torch.export.load(path).module().to(device))
        if path.suffix in SCRIPTS:
            return cast(Network, torch.jit.load(path, map_location=device).eval())
    except ProofError:
        raise
    except Exception as error:  # loaders raise what they like on foreign files
        kind = "a bundle" if path.is_dir() else "an exported program" if path.suffix == EXPORTED else "TorchScript"
        detail = (str(error).strip().splitlines() or [type(error).__name__])[0]
        cure = "save it by torch.jit.script or trace, or torch.export.save"
        raise ProofError(f"{path}: cannot be loaded as {kind} ({detail[:200]}); {cure}") from error
    endings = ", ".join((*SCRIPTS, EXPORTED))
    raise ProofError(f"{path}: no model of a kind that is loaded; give {endings}, or the folder of a MONAI bundle")


def _load_bundle(folder: Path, device: str) -> Network:
    script = folder / "models" / "model.ts"
    if script.is_file():
        return cast(Network, torch.jit.load(script, map_location=device).eval())
    config = next(
        (found for ending in ("json", "yaml") if (found := folder / "configs" / f"inference.{ending}").is_file()), None
    )
    weights = folder / "models" / "model.pt"
    if config is None or not weights.is_file():
        raise ProofError(f"{folder}: no bundle with models/model.ts, or models/model.pt and configs/inference.json")
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(config)
    parser["bundle_root"] = str(folder)
    network = parser.get_parsed_content("network_def").to(device)
    state = torch.load(weights, map_location=device, weights_only=True)
    network.load_state_dict(state.get("model", state) if isinstance(state, dict) else state)
    return cast(Network, network.eval())


def predict_queries(
    network: Network,
    queries: Path,
    output: Path,
    *,
    grid: Sequence[int] | None = None,
    roi_size: Sequence[int] | None = None,
    intensity_window: IntensityWindow | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> int:
    """Write the probabilities that a network gives for every query, ``(classes, *spatial)`` in 255ths, as ``.npz``.

    Intensities are brought to [0, 1] by the file's window, the network's logits to probabilities by a sigmoid if it has
    one channel, else by a softmax. A network that wants its images in another way is run by hand, see the manual.

    Args:
        network: from ``(1, C, *spatial)`` to logits ``(1, 1 or classes, *spatial)``.
        queries: folder that :func:`monai_umed.evaluation.proof.queries.write_queries` wrote, or its images.
        output: folder to write.
        grid: grid that images are resampled to, and probabilities back from.
        roi_size: what slides over images of any size instead.
        intensity_window: displayed values of black and white, if not those of the files.
        device: where it runs.
        progress: whether to show a progress bar.

    Returns:
        The number of predictions.

    Raises:
        ProofError: If there are no queries, or the network cannot take one.
        CodecError: If a query cannot be read.
    """
    folder = queries / IMAGES if (queries / IMAGES).is_dir() else queries
    paths = [path for path in visible(folder) if path.is_dir() or split_name(path.name)[1] in SUPPORTED]
    if not paths:
        raise ProofError(f"{folder}: no images; name the folder that `monai-umed queries` wrote")
    output.mkdir(parents=True, exist_ok=True)
    slide = None if roi_size is None else SlidingWindowInferer(tuple(roi_size), 4, overlap=0.25, mode="gaussian")
    for path in track(paths, len(paths), title="predict", unit="image", disable=not progress):
        image = torch.from_numpy(read_image(path, intensity_window).scaled())[None].nan_to_num(0).to(device)
        native = image.shape[2:]
        try:
            with torch.inference_mode():
                given = image if grid is None else resize(image, grid)
                logits = network(given) if slide is None else slide(given, network)
                logits = cast(torch.Tensor, logits[0] if isinstance(logits, tuple | list) else logits).float()
        except Exception as error:
            detail = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            cure = "give --grid or --roi as it was trained, or run it by hand"
            raise ProofError(
                f"{path.name}: the model cannot take {tuple(image.shape)} ({detail[:200]}); {cure}"
            ) from error
        soft = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
        levels = (255 * resize(soft, native)[0].cpu().numpy()).round().astype(np.uint8)
        np.savez_compressed(output / f"{split_name(path.name)[0]}{PACKED}", allow_pickle=False, **{PROBABILITY: levels})
    return len(paths)
