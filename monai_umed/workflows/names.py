"""The names of protectors, exploiters and defenses, which `monai-umed list` prints."""

from __future__ import annotations

from pathlib import Path

_LIST = Path(__file__).with_name("names.txt")


def list_names() -> str:
    """Return a text with one line for each protector, exploiter and defense.

    It is a file of the package, because the names are spread over modules that take seconds to import.

    Example:
        >>> print(mu.list_names())
        protectors ...
    """
    return _LIST.read_text(encoding="utf-8").rstrip("\n")


def collect_names() -> str:
    """Build the same text from the registries, to update the file; a test compares them."""
    from ..defenses import DEFENSES
    from ..exploiters.architectures import ARCHITECTURES
    from ..exploiters.registry import exploiter_names
    from ..protectors import PROTECTORS, protector_class

    lines = ["protectors (what they need; those marked * protect new images without another fit):"]
    for name in PROTECTORS:
        method = protector_class(name)
        mark = "*" if method.protects_new_images else " "
        lines.append(f"  {name:<15} {method.needs.value:<10} {mark} {method.paper}")
    lines.append("exploiters:")
    lines += [f"  {name:<22} {ARCHITECTURES[name.split('-')[0]].summary}" for name in exploiter_names()]
    lines.append("defenses (the verdict counts those marked *; join several by +):")
    lines += [f"  {name:<20} {'*' if entry.cheap else ' '} {entry.summary}" for name, entry in DEFENSES.items()]
    return "\n".join(lines)


if __name__ == "__main__":  # python -m monai_umed.workflows.names
    _LIST.write_text(collect_names() + "\n", encoding="utf-8")
