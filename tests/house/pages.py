"""The project's pages as its tests read them: headings, links, code and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from source import ROOT

PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("deploy/**/*.md"),
    )
)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Where the page's links lead, as written."""
    return _LINK.findall(_CODE.sub("", prose(page)))


def anchors(page: Path) -> set[str]:
    """The names under which the page's headings are reached."""
    kept = (
        re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose(page))
    )
    return {heading.replace(" ", "-") for heading in kept}


def codes(text: str) -> list[str]:
    """What stands in single backticks."""
    return _CODE.findall(text)


def shell_lines(page: Path) -> Iterator[str]:
    """The lines of the page's shell blocks, continued ones joined, without comments."""
    for block in re.findall(
        r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip():
                yield re.sub(r"\s+#.*$", "", line).strip()


def table(page: Path, header: str) -> list[list[str]]:
    """The cells of the page's one table whose header row is `header`, row by row."""
    _, found, after = page.read_text(encoding="utf-8").partition(f"{header}\n|---")
    assert found, f"{page.name} has no table {header}"
    assert header not in after, f"{page.name} has two tables {header}"
    rows = after.partition("\n")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
