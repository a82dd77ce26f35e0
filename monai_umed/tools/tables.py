"""Fill the tables of the pages from ``docs/results/*.csv``, so that no figure stands in two places.

A table stands between two comments; the first names its file, which rows it takes, and what its lines and columns are::

    <!-- table: defenses.csv "dataset=BUSI|Kvasir-SEG" preset=default rows=dataset,network columns=defense -->
    <!-- end -->

``titles="just trains|blur"`` renames the columns, ``show=ratio`` gives percent of what clean files teach,
``show=COLUMN`` that column, ``show=found:COLUMN`` in how many rows that p-value is .001 at most; several, joined by
commas, are columns of their own. ``join=FILE`` adds the other columns of a file to the lines that it has. Run as
``python -m monai_umed.tools.tables``.
"""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import monai_umed as mu

from .reference import docs_dir, table

COLUMNS = (
    "dataset preset method arguments eps psnr ssim ciede2000 network defense epochs seeds dice spread ceiling version "
    "command"
)
"""What every file of results says of a training, or of several seeds of one; empty is not measured."""

_MARKED = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
_NAMES = {"psnr": "PSNR, dB", "ssim": "SSIM", "ciede2000": "CIEDE2000", "dice": "Dice", "rms_in_files": "in files"}
_SMALL_P = 1e-3  # that a proof should reach
Row = dict[str, str]


@dataclass
class Wanted:
    """What a comment asks for.

    Attributes:
        file: name of the file in ``docs/results``, or several joined by ``+``.
        where: values that a column may have.
        rows: columns that make a line of the table.
        columns: column whose values become columns of the table; empty lists ``dice`` alone.
        titles: what these are called, in the order of their values in ``where`` or in the file.
        show: ``"dice"`` with spread and ceiling, ``"ratio"`` of both, a column, or ``"found:COLUMN"``.
        join: file whose other columns are added; only lines that it has are kept.
    """

    file: str
    where: dict[str, list[str]] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)
    columns: str = ""
    titles: list[str] = field(default_factory=list)
    show: str = "dice"
    join: str = ""

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """Read the inside of a comment."""
        name, *words = shlex.split(text)
        wanted = cls(name)
        for key, _, value in (word.partition("=") for word in words):
            if key in ("rows", "titles"):
                setattr(wanted, key, value.split("|" if key == "titles" else ","))
            elif key in ("columns", "show", "join"):
                setattr(wanted, key, value)
            else:
                wanted.where[key] = value.split("|")
        return wanted


def read_results(names: str) -> list[Row]:
    """The rows of a file of results, or of several joined by ``+``."""
    rows: list[Row] = []
    for name in names.split("+"):
        with (docs_dir() / "results" / name).open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
    return rows


def build(wanted: Wanted) -> str:
    """The table that a comment asks for.

    Raises:
        ValueError: If no row is as wanted, or several rows belong into one cell.
    """
    rows = [row for row in read_results(wanted.file) if all(row[key] in values for key, values in wanted.where.items())]
    heads = wanted.where.get(wanted.columns) or list(dict.fromkeys(row.get(wanted.columns, "") for row in rows))
    cells: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for row in rows:
        line = cells.setdefault(tuple(row[key] for key in wanted.rows), {})
        line.setdefault(row.get(wanted.columns, ""), []).append(row)
    if not cells:
        raise ValueError(f"{wanted}: {wanted.file} has no such row")
    shows = wanted.show.split(",")
    lines = {
        keys: [_cell(line[head], show, wanted.file) if head in line else "" for head in heads for show in shows]
        for keys, line in cells.items()
    }
    notes = read_results(wanted.join) if wanted.join else []
    added = [key for key in (notes[0] if notes else ()) if key not in wanted.rows]
    body = []
    for keys, filled in lines.items():
        named = dict(zip(wanted.rows, keys, strict=True))
        for note in [note for note in notes if named.items() <= {**named, **note}.items()] if notes else [{}]:
            body.append([*keys, *filled, *(note.get(key, "") for key in added)])
    titles = wanted.titles or [head or _NAMES.get(show, show) for head in heads for show in shows]
    return table([*(_NAMES.get(key, key) for key in wanted.rows), *titles, *added], body)


def _cell(rows: list[Row], show: str, file: str) -> str:
    _, counted, column = show.partition("found:")
    if counted:
        values = [float(row[column]) for row in rows if row[column]]
        return f"{sum(value <= _SMALL_P for value in values)} of {len(values)}" if values else ""
    row = rows[0]
    if len(rows) > 1:
        raise ValueError(f"two rows of {file} belong into one cell, of them {row}")
    if show == "ratio":
        return f"{float(row['dice']) / float(row['ceiling']):.0%}"
    if show != "dice":
        return row[show]
    spread, ceiling = row["spread"], row["ceiling"]
    parts = [f"{float(row['dice']):.2f}", f" ± {float(spread):.2f}" if spread else ""]
    return "".join([*parts, f" of {float(ceiling):.2f}" if ceiling else ""])


def pages() -> Iterator[Path]:
    """The pages of the bundle, and the front page of a checkout."""
    yield from sorted(docs_dir().rglob("*.md"))
    front = Path(mu.bundle_root()).parents[1] / "README.md"
    if front.is_file():
        yield front


def fill(text: str) -> str:
    """A page with all of its tables built anew."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{build(Wanted.parse(found[2]))}\n{found[3]}", text)


def main() -> None:
    """Fill the tables of every page."""
    for page in pages():
        old = page.read_text(encoding="utf-8")
        if (new := fill(old)) != old:
            page.write_text(new, encoding="utf-8")
            print(f"Wrote {page}.")


if __name__ == "__main__":
    main()
