"""The output folder of a run, which only a run with the same settings may continue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_RENAMED = {"window": "intensity_window"}  # settings that version 0.1 knew by another name


def _plain(value: Any) -> Any:
    """Convert a value to JSON and back, so that settings compare equal to their own copy on disk."""
    return json.loads(json.dumps(value, default=str))


def claim_output(output_dir: str | Path, settings: dict[str, Any]) -> Path:
    """Create and return a run's output folder, or that of an interrupted run with the same settings.

    Args:
        output_dir: folder of one run.
        settings: everything that determines the results of the run; kept in ``settings.json``.

    Raises:
        ValueError: If the folder belongs to a run with other settings; the message names the differences.
    """
    output_dir = Path(output_dir)
    record = output_dir / "settings.json"
    settings = _plain(settings)
    if record.is_file():
        kept = json.loads(record.read_text(encoding="utf-8"))
        earlier = {_RENAMED.get(name, name): value for name, value in kept.items()}
        different = sorted(name for name in settings.keys() | earlier.keys() if settings.get(name) != earlier.get(name))
        if different:
            name = different[0]
            raise ValueError(
                f"{output_dir} contains a run with other settings ({', '.join(different)}; {name} was "
                f"{earlier.get(name)!r}, now {settings.get(name)!r}). Choose another --output_dir, or delete it."
            )
    output_dir.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return output_dir
