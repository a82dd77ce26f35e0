"""Small datastores for MONAI Label, and clients that talk to a server within the test's own process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from protected_folder import noise, small_protector, square, write_array

from monai_umed.label.folder import write_label_app
from monai_umed.protectors.checkpoint import save_protector

SHAPE = (40, 48)
PNG = "image/png"


def write_studies(folder: Path, names: str = "abc", labelled: str = "ab", shape: tuple[int, ...] = SHAPE) -> Path:
    """One image per letter, all different, PNG or NIfTI by their dimensions; some with a final label."""
    ending = ".png" if len(shape) == 2 else ".nii.gz"
    for name in names:
        write_array(folder / f"{name}{ending}", noise(shape, seed=ord(name)).astype(np.uint8))
    for name in labelled:
        write_array(folder / "labels" / "final" / f"{name}{ending}", square(shape, 255 if len(shape) == 2 else 1))
    return folder


def write_checkpoint(path: Path) -> Path:
    """Random but loud generators for gray images."""
    return save_protector(path, small_protector(), {"seed": 7, "num_classes": 2, "intensity_window": None})


@contextmanager
def client_of(studies: Path, tmp_path: Path, **conf: str) -> Iterator[Any]:
    """A client of a new server in this process."""
    from fastapi.testclient import TestClient
    from monailabel.app import app
    from monailabel.config import settings
    from monailabel.interfaces.utils.app import clear_cache

    folder = tmp_path / "app"
    if not folder.exists():
        write_label_app(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MONAI_LABEL_APP_DIR", str(folder))
        patch.setattr(settings, "MONAI_LABEL_STUDIES", str(studies))
        patch.setattr(settings, "MONAI_LABEL_APP_CONF", conf)
        patch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)  # a thread per server that never ends
        clear_cache()
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client
    clear_cache()


def protect(client: Any, image: str, output: str = "json", **parameters: Any) -> Any:
    """Ask a server to protect an image."""
    return client.post(f"/infer/umed_protect?image={image}&output={output}", data={"params": json.dumps(parameters)})


def put_label(client: Any, image: str, file: Path) -> Any:
    """Save a final label."""
    with file.open("rb") as content:
        return client.put(f"/datastore/label?image={image}&tag=final", files={"label": (file.name, content)})


def put_image(client: Any, file: Path, query: str = "") -> Any:
    """Upload an image."""
    with file.open("rb") as content:
        return client.put(f"/datastore/image{query}", files={"file": (file.name, content)})
