"""Docstrings of the public names, below the list of them that reference/python.md holds."""

import re
from typing import Any

import griffe


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Add one entry of mkdocstrings for every name that the page lists."""
    names = re.findall(r"^\| `mu\.(\w+)`", markdown, re.MULTILINE) if page.file.src_uri == "reference/python.md" else []
    return markdown + "".join(f"\n\n::: monai_umed.{name}" for name in names)


class Docstrings(griffe.Extension):
    """Show examples as code, and names of Sphinx's roles as names."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            text = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
            obj.docstring.value = re.sub(r":\w+:`(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
