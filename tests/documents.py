"""Reads the project's Markdown: fenced blocks, commands, paths, links and tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    *(ROOT / name for name in ("README.md", "README.ja.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
FOLDERS = frozenset(
    {"tvmerge", "tests", "docs", "examples", "judges", "benchmarks", "prompts", "perf", ".ci"}
)

_FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TVMERGE = re.compile(r"^(?:\.venv[/\\](?:bin|Scripts)[/\\])?tvmerge\s")
_PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the path it is the content of (or nothing) and its text."""

    document: Path
    language: str
    path: str
    text: str


@dataclass(frozen=True)
class Command:
    """A `tvmerge` command line without its first word; `whole` where it stands in a separate block."""

    document: Path
    argv: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.document.name}: {shlex.join(self.argv)}"


def blocks(document: Path) -> list[Block]:
    return [Block(document, *found) for found in _FENCE.findall(document.read_text(encoding="utf-8"))]


def shell_lines(document: Path) -> Iterator[str]:
    """Lines of shell blocks, continued lines joined; paths with the slashes of this machine."""
    for block in blocks(document):
        if block.language == "sh":
            yield from block.text.replace("\\\n", " ").splitlines()
        elif block.language == "bat":
            yield from block.text.replace("\\", "/").splitlines()


def inline_code(document: Path) -> list[str]:
    return _CODE.findall(_FENCE.sub("", document.read_text(encoding="utf-8")))


def commands(document: Path) -> Iterator[Command]:
    for line in shell_lines(document):
        if _TVMERGE.match(line):
            yield Command(document, tuple(shlex.split(line)[1:]), whole=True)
    for code in inline_code(document):
        if _TVMERGE.match(code):
            yield Command(document, tuple(shlex.split(code)[1:]), whole=False)


def paths(document: Path) -> Iterator[str]:
    """What is written like a path of the repository, in code and in shell blocks."""
    words = (word for line in shell_lines(document) for word in line.split())
    for word in (*inline_code(document), *words):
        if _PATH.fullmatch(word) and word.split("/")[0] in FOLDERS:
            yield word


def links(document: Path) -> Iterator[str]:
    """Targets of links that stay in the repository."""
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        if "://" not in target:
            yield target.split("#")[0]


def anchors(document: Path) -> Iterator[tuple[Path, str]]:
    """Links to headings of pages of the repository: the page, and the heading as in links."""
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        if "://" not in target and "#" in target:
            page, anchor = target.split("#")
            yield (document.parent / page).resolve() if page else document, anchor


def headings(document: Path) -> set[str]:
    """The headings of a page as GitHub spells them in links."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def make_targets(document: Path) -> set[str]:
    said = [*shell_lines(document), *inline_code(document)]
    return {found for text in said for found in re.findall(r"^make ([a-z-]+)", text)}


def section(document: Path, heading: str) -> str:
    """The text under a heading, up to the next one of its rank or higher."""
    text = document.read_text(encoding="utf-8")
    start = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert start is not None, f"{document.name} has no heading '{heading}'"
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
    return rest if end is None else rest[: end.start()]


def table_keys(document: Path, heading: str) -> set[str]:
    """The code in the first column of the tables under a heading."""
    rows = [line for line in section(document, heading).splitlines() if line.startswith("| `")]
    return {key for row in rows for key in _CODE.findall(row.split(" | ")[0])}


def listing(document: Path, heading: str) -> list[str]:
    """The first column of the first text block under a heading, indented names prefixed by their folder."""
    found = re.search(r"^```text\n(.*?)^```$", section(document, heading), re.DOTALL | re.MULTILINE)
    assert found is not None, f"{document.name} has no text block under '{heading}'"
    names: list[str] = []
    folder = ""
    for line in found[1].splitlines():
        column = re.split(r"\s{2,}", line.strip())[0]
        nested = line.startswith("  ")
        names += [f"{folder if nested else ''}{name}" for name in column.split(", ")]
        folder = folder if nested else column
    return names
