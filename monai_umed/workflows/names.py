"""The names of protectors, exploiters and defenses, which `monai-umed list` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_LIST = Path(__file__).with_name("names.json")


def list_names(*, as_json: bool = False) -> str:
    """Return a text with one line for each protector, exploiter and defense.

    It is a file of the package, because the names are spread over modules that take seconds to import.

    Args:
        as_json: whether to return one JSON document instead of lines for people.

    Example:
        >>> print(mu.list_names())
        protectors ...
    """
    text = _LIST.read_text(encoding="utf-8")
    if as_json:
        return text.rstrip("\n")
    names = json.loads(text)
    lines = ["protectors (what they need; those marked * protect new images without another fit):"]
    for entry in names["protectors"]:
        mark = "*" if entry["protects_new_images"] else " "
        lines.append(f"  {entry['name']:<15} {entry['needs']:<10} {mark} {entry['paper']}")
    lines.append("exploiters:")
    lines += [f"  {entry['name']:<22} {entry['summary']}" for entry in names["exploiters"]]
    lines.append("defenses (the verdict counts those marked *; join several by +):")
    for entry in names["defenses"]:
        lines.append(f"  {entry['name']:<20} {'*' if entry['counts'] else ' '} {entry['summary']}")
    return "\n".join(lines)


def collect_names() -> dict[str, list[dict[str, Any]]]:
    """Build the same from the registries, to update the file; a test compares them."""
    from ..defenses import DEFENSES
    from ..exploiters.architectures import ARCHITECTURES
    from ..exploiters.registry import exploiter_names
    from ..protectors import PROTECTORS, protector_class

    methods = {name: protector_class(name) for name in PROTECTORS}
    return {
        "protectors": [
            {
                "name": name,
                "needs": method.needs.value,
                "protects_new_images": method.protects_new_images,
                "paper": method.paper,
            }
            for name, method in methods.items()
        ],
        "exploiters": [
            {"name": name, "summary": ARCHITECTURES[name.split("-")[0]].summary} for name in exploiter_names()
        ],
        "defenses": [
            {"name": name, "counts": entry.cheap, "summary": entry.summary} for name, entry in DEFENSES.items()
        ],
    }


if __name__ == "__main__":  # python -m monai_umed.workflows.names
    _LIST.write_text(json.dumps(collect_names(), indent=2) + "\n", encoding="utf-8")
