"""Write the pages of ``docs/reference`` that follow from the code: command line, ids of the configs, Python interface.

The sentences about ids stand in ``docs/reference/settings.csv``; all others are docstrings and helps of options. Run as
``python -m monai_umed.tools.reference``.
"""

from __future__ import annotations

import csv
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

import monai_umed as mu

from ..cli import app
from ..cli.help import EXAMPLES

SETTINGS = "settings.csv"
SEVERAL = "In several of them"
Entry = tuple[str, str, str]


def docs_dir() -> Path:
    """The folder of the documentation."""
    return Path(mu.bundle_root()) / "docs"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def command_line() -> str:
    """The page of all verbs, their options by panel and their examples; what several verbs have stands once."""
    verbs = typer.main.get_command(app)
    assert isinstance(verbs, TyperGroup)
    rows = {name: _options(verb) for name, verb in verbs.commands.items() if isinstance(verb, TyperCommand)}
    shared = _in_several(rows.values())
    parts = [_generated("Command line", "`monai-umed VERB --help` prints the same on 100 columns.")]
    for name, verb in verbs.commands.items():
        parts.append(f"## {name}\n\n{verb.help}\n")
        parts.append("```bash\n" + "\n".join(f"monai-umed {line}" for line in EXAMPLES[name]) + "\n```\n")
        for panel, group in groupby((row for row in rows[name] if row not in shared), lambda row: row[0]):
            parts.append(table([panel, ""], (row[1:] for row in group)))
        parts += _also(row[1] for row in rows[name] if row in shared)
    parts.append(f"## {SEVERAL}\n\n" + table(["option", "meaning"], (row[1:] for row in shared)))
    return "\n".join(parts)


def _options(verb: TyperCommand) -> list[Entry]:
    """Panel, names and help of what a verb takes."""
    context, rows = typer.Context(verb, info_name=f"monai-umed {verb.name}"), []
    for param in verb.params:
        record = None if getattr(param, "hidden", False) else param.get_help_record(context)
        names = ", ".join(param.opts + param.secondary_opts) if isinstance(param, TyperOption) else None
        if record and (names is not None or record[1]):
            panel = getattr(param, "rich_help_panel", None) or "Arguments"
            rows.append((panel, f"`{names or record[0]}`", record[1]))
    return rows


def _in_several(groups: Iterable[Sequence[Entry]]) -> list[Entry]:
    """The entries that more than one group has, in the order in which they come."""
    counts = Counter(row for group in groups for row in group)
    return [row for row, count in counts.items() if count > 1]


def _also(names: Iterable[str]) -> list[str]:
    shown = ", ".join(names)
    return [f"And {shown} ([below](#{SEVERAL.lower().replace(' ', '-')})).\n"] if shown else []


def configs() -> str:
    """The page of all ids of the configs with their defaults; what several configs have stands once.

    Raises:
        KeyError: If ``settings.csv`` has no sentence for an id.
    """
    intro = (
        "Every id can be set by `--id value` after `python -m monai.bundle run --config_file ...`. Meanings that are "
        "not beside an id stand [at the end](#in-several-of-them)."
    )
    parts = [_generated("Ids of the configs", intro)]
    with (docs_dir() / "reference" / SETTINGS).open(encoding="utf-8", newline="") as file:
        meanings = {(row["config"], row["id"]): row["meaning"] for row in csv.DictReader(file)}
    rows = {}
    for path in sorted((Path(mu.bundle_root()) / "configs").glob("*.json")):
        if path.name != "metadata.json":
            ids = json.loads(path.read_text(encoding="utf-8"))
            rows[path.name] = [
                (f"`{name}`", _default(value), meanings.get((path.name, root)) or meanings["*", root])
                for name, value in ids.items()
                for root in [name.partition("#")[0]]
            ]
    shared = _in_several(rows.values())
    meant = [(name, meaning) for name, _, meaning in _in_several([(n, "", m) for n, _, m in e] for e in rows.values())]
    header = ["id", "default", "meaning"]
    for config, entries in rows.items():
        parts.append(f"## {config}\n")
        own = [(name, default, meaning) for name, default, meaning in entries if (name, default, meaning) not in shared]
        if own:
            parts.append(table(header, ((n, d, "" if (n, m) in meant else m) for n, d, m in own)))
        parts += _also(entry[0] for entry in entries if entry in shared)
    defaults = {(name, meaning): default for name, default, meaning in shared}
    last = [(name, defaults.get((name, meaning), ""), meaning) for name, meaning in meant]
    parts.append(f"## {SEVERAL}\n\n" + table(header, last))
    return "\n".join(parts)


def python() -> str:
    """The page of the public names; the built site adds their docstrings."""
    parts = [_generated("Python", "`import monai_umed as mu`, then `help(mu.protect)`; each has an example that runs.")]
    rows = []
    for name in sorted(set(mu.__all__) - {"__version__"}, key=lambda name: (name.lower(), name)):
        text = " ".join((inspect.getdoc(getattr(mu, name)) or "").partition("\n\n")[0].split())
        text = re.sub(r":\w+:`(?:[\w.]+\.)?(\w+)`|``(.*?)``", r"`\1\2`", text)
        if inspect.isroutine(getattr(mu, name)) or inspect.isclass(getattr(mu, name)):
            rows.append([f"`mu.{name}`", text])
    return "\n".join([*parts, table(["name", "what it is"], rows)])


PAGES = {"command-line.md": command_line, "configs.md": configs, "python.md": python}


def _generated(title: str, intro: str) -> str:
    return f"<!-- written by python -m monai_umed.tools.reference -->\n# {title}\n\n{intro}\n"


def _default(value: Any) -> str:
    """A default as one reads it: a value, or which function or class decides."""
    if isinstance(value, dict):
        target = str(value.get("_target_", "parts of its own"))
        return f"`{target.rpartition('.')[2]}`" if "_target_" in value else target
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(_default(part) for part in value)
    return "none" if value is None else f"`{json.dumps(value)}`"


def main() -> None:
    """Write all of them."""
    folder = docs_dir() / "reference"
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
        print(f"Wrote {folder / name}.")


if __name__ == "__main__":
    main()
