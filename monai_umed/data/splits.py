"""Which case is for training and which for testing."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

from .case import Case

TEST_FRACTION = 0.2
"""Share of the cases that `hashed_section` puts into the test section."""


def hashed_section(case_id: str) -> str:
    """Section of a case by its name alone: adding or removing other cases never moves it.

    Args:
        case_id: id of the case.

    Returns:
        ``"test"`` for about 20 % of all ids, else ``"train"``.
    """
    digest = hashlib.sha256(case_id.encode("utf-8", "surrogateescape")).digest()
    return "test" if int.from_bytes(digest[:8], "big") < TEST_FRACTION * 2**64 else "train"


def hash_sections(cases: Iterable[Case]) -> dict[str, str]:
    """`hashed_section` of every case by its id; all are for training if none would be, such as a case alone."""
    sections = {case.id: hashed_section(case.id) for case in cases}
    return sections if "train" in sections.values() else dict.fromkeys(sections, "train")


def check_held_out(section: str) -> None:
    """Refuse to test on cases whose protected copies are trained on.

    Args:
        section: what is protected.

    Raises:
        ValueError: If it is not the section ``"train"``.
    """
    if section != "train":
        cure = "leave section at 'train', or quick_check out"
        raise ValueError(f"section is {section!r}, but quick_check keeps the section 'test' for testing; {cure}.")


def read_split(path: Path, known_ids: AbstractSet[str]) -> tuple[dict[str, str] | None, list[str]]:
    """Read a ``split.json``.

    Args:
        path: file ``{"train": [id, ...], "test": [id, ...]}``; it may be missing.
        known_ids: ids that have files.

    Returns:
        ``"train"`` or ``"test"`` by case id, None if there is no file; and the offenders: ids without files, ids named
        twice, or a damaged file.
    """
    if not path.exists():
        return None, []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, [f"{path.name}: no valid JSON ({error}); repair or remove it"]
    if not isinstance(content, dict) or not all(_is_list_of_names(content.get(key)) for key in ("train", "test")):
        return {}, [f'{path.name}: must be {{"train": [name, ...], "test": [name, ...]}}; repair or remove it']
    counts = Counter(content["train"] + content["test"])
    offenders = []
    for name in sorted(counts):
        if name not in known_ids:
            offenders.append(
                f"{path.name}: {name!r} has no files; remove the name or add the files (names lack endings)"
            )
        if name in content["train"] and name in content["test"]:
            offenders.append(f"{path.name}: {name!r} is in both lists; keep it in one")
        elif counts[name] > 1:
            offenders.append(f"{path.name}: {name!r} is named {counts[name]} times; name it once")
    return {name: section for section in ("train", "test") for name in content[section]}, offenders


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
