"""Turn a fit into the bundle's ``models/model.pt``: weights as MONAI's bundle commands load them, without any path."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch

from ..io.atomic import write_atomically
from ..protectors import UMed
from ..protectors.checkpoint import CheckpointError, attach_settings, detach_settings, load_protector


def write_bundle_model(checkpoint: str | Path, output: str | Path) -> Path:
    """Write the weights of a fitted protector as a state dictionary that carries its settings.

    MONAI's ``ckpt_export`` and ``CheckpointLoader`` take the file as it is, and so does
    :func:`monai_umed.protectors.checkpoint.load_protector`. The same checkpoint gives the same bytes.

    Args:
        checkpoint: ``protector.pt`` of a fit.
        output: target file, written all at once or not at all; its folder is made if needed.

    Raises:
        CheckpointError: If the checkpoint cannot be used, or holds no generators.
        OSError: If the target cannot be written.
    """
    protector = load_protector(checkpoint)
    if not isinstance(protector, UMed):
        raise CheckpointError(
            f"{Path(checkpoint).name} holds {protector!r}, which has no generators for a bundle's model.pt; use the "
            "protector.pt that train.json wrote."
        )
    content = detach_settings(torch.load(checkpoint, map_location="cpu", weights_only=True))
    record = dict(content.get("record", {}))
    if "dataset_dir" in record:  # the file is published, the folders of whoever made it are not
        record["dataset_dir"] = Path(record["dataset_dir"]).name
    buffer = BytesIO()
    torch.save(attach_settings({**content, "record": record}), buffer)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, buffer.getvalue())
    return output


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; ends with the message alone where the input is at fault."""
    parser = argparse.ArgumentParser(prog="python -m monai_umed.tools.bundle_model", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="protector.pt of a fit")
    parser.add_argument("--output", type=Path, required=True, help="models/model.pt of a bundle")
    options = parser.parse_args(arguments)
    try:
        output = write_bundle_model(options.checkpoint, options.output)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{output} holds the weights and settings of {options.checkpoint} ({output.stat().st_size / 1000:.0f} kB).")


if __name__ == "__main__":
    main()
