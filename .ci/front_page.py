"""Make README.md of a copy of this repository what a package index can show: no link leads nowhere.

`Source` under `project_urls` of setup.cfg is the one place for the address of the repository, such as
https://example.org/monai_umed/blob/main. With it, links to pages become absolute. Without it they become paths in the
installed bundle, and the picture goes.
"""

import configparser
import re
import sys
from pathlib import Path

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")
PAGES = "The pages named here come with the package; `monai-umed bundle-path` prints the folder that they are in."


def front_page(text: str, source: str | None) -> str:
    """README.md with absolute links, or with none."""
    if source is not None:
        return LINK.sub(lambda link: f"{link[1]}[{link[2]}]({source.rstrip('/')}/{link[3]})", text)
    plain = re.sub(r"\n{3,}", "\n\n", LINK.sub(lambda link: "" if link[1] else _path(link[2], link[3]), text))
    return plain.replace("## Whom it stops", f"{PAGES}\n\n## Whom it stops", 1)


def _path(text: str, file: str) -> str:
    return f"{text} (`{file.removeprefix('bundles/umed/')}`)"


def main(root: Path) -> None:
    """Rewrite README.md in a copy of the repository."""
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    urls = dict(line.split(" = ", 1) for line in setup["metadata"]["project_urls"].split("\n") if line)
    page = root / "README.md"
    page.write_text(front_page(page.read_text(encoding="utf-8"), urls.get("Source")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
