"""What the pages say can be done can be done: links lead somewhere, commands are read, examples run."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import matplotlib.pyplot as plt
import pytest
import typer
from typer.testing import CliRunner

import monai_umed as mu
from monai_umed import cli
from monai_umed.defenses import DEFENSES
from monai_umed.exploiters.architectures import ARCHITECTURES
from monai_umed.protectors.registry import PROTECTORS
from monai_umed.tools.reference import docs_dir
from monai_umed.tools.tables import pages

PAGES = sorted(pages())
VERBS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
CHEAP = {"new-key", "list", "bundle-path", "label-app", "verify", "restore"}


def name_of(page: Path) -> str:
    return str(page.relative_to(docs_dir())) if page.is_relative_to(docs_dir()) else page.name


def blocks(page: Path, language: str) -> list[str]:
    """The code of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def words_of(line: str) -> list[str]:
    """A line of a shell as words, with what joins commands as words of their own."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def commands(page: Path, *start: str) -> Iterator[list[str]]:
    """The words after every `start` in the shell blocks of a page, until the next command."""
    lines = [line for block in blocks(page, "bash") for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    while lines:
        words = words_of(lines.pop(0))
        lines += [word for word in words if " ".join(start) + " " in word]  # a command within quotes
        for index in range(len(words)):
            if tuple(words[index : index + len(start)]) == start or words[index].endswith(f"/{' '.join(start)}"):
                rest = words[index + len(start) :]
                end = next((at for at, word in enumerate(rest) if word in ("|", "&&", ";", "&", ")")), len(rest))
                yield rest[:end]


def anchors(page: Path) -> set[str]:
    """The places in a page that links may name."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pictures_are_described_for_those_who_do_not_see_them(page: Path) -> None:
    texts = re.findall(r"!\[([^\]]*)\]\(", page.read_text(encoding="utf-8"))
    assert all(len(text.split()) >= 5 for text in texts)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_have_the_verbs_and_options_that_there_are(page: Path) -> None:
    for verb, *arguments in commands(page, "monai-umed"):
        if not verb.startswith("-"):
            VERBS[verb].make_context(verb, arguments)  # raises what is wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_runs_of_the_bundle_set_ids_that_there_are(page: Path) -> None:
    configs = Path(mu.bundle_root()) / "configs"
    for words in commands(page, "-m", "monai.bundle", "run"):
        files = re.findall(r"[\w]+\.json", words[words.index("--config_file") + 1])
        known = {key.partition("#")[0] for file in files for key in json.loads((configs / file).read_text())}
        options = {word[2:].partition("#")[0] for word in words if word.startswith("--")}
        assert options - known <= {"config_file", "tracking"}


def test_the_pages_are_short_and_leave_figures_to_tables() -> None:
    assert len((docs_dir() / "README.md").read_bytes()) <= 6000  # the model zoo's template
    sentences = ""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if not page.is_relative_to(docs_dir()):
            assert len(text.split()) <= 700  # the front page
        text = re.sub(r"```.*?```|<!--.*?-->|`[^`]*`|\]\([^)]*\)|arXiv [\d.]+", "", text, flags=re.DOTALL)
        sentences += "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    assert len(re.findall(r"\d*\.\d+|\d+ ?%|\d+ dB", sentences)) <= 40


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset `DATA` and its sealed release `OUT`, as the pages call them."""
    folder = tmp_path_factory.mktemp("pages")
    mu.write_phantom(folder / "DATA", num_train=12, num_test=10)
    key = mu.new_key(folder / "owner.key")
    mu.protect(folder / "DATA", folder / "OUT", preset="stamp", seal_key=key, progress=False)
    (folder / "IMAGES").symlink_to(folder / "DATA" / "images")
    (folder / "LABELS").symlink_to(folder / "DATA" / "masks")
    return folder


EXAMPLES = [page for page in PAGES if page.parent.name in ("getting-started", "how-to") or page.name == "README.md"]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_the_python_of_a_page_runs(page: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    names: dict[str, object] = {"__name__": page.stem}
    with patch.dict(DEFENSES), patch.dict(ARCHITECTURES), patch.dict(PROTECTORS):  # pages add their own
        for block in blocks(page, "python"):
            exec(compile(block, name_of(page), "exec"), names)


def test_the_notebook_runs_and_holds_no_output(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    notebook = json.loads((docs_dir() / "getting-started" / "first_release.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names: dict[str, object] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), "first_release.ipynb", "exec"), names)
    plt.close("all")


@pytest.mark.parametrize("page", EXAMPLES, ids=name_of)
def test_what_costs_little_runs(page: Path, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    for words in commands(page, "monai-umed"):
        if words[0] in CHEAP:
            places = {"owner.key": "owner.key" if words[0] != "new-key" else str(tmp_path / "owner.key")}
            places |= {name: str(tmp_path / name) for name in ("APP", "ORIGINALS", "proof.key")}
            done = CliRunner().invoke(cli.app, [places.get(word, word) for word in words])
            assert done.exit_code == 0, f"{words}: {done.output}{done.exception!r}"
