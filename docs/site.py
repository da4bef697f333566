"""Lets the site show what lies outside `docs/`, without a second copy of any page.

mkdocs calls it as a hook (`mkdocs.yml`). The README files become the first pages of the two languages. Other
files that pages link to, such as the changelog or an example, become pages or downloads with the path that
they have in the repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
FIRST_PAGES = {"README.md": "index.md", "README.ja.md": "ja/index.md"}

_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")
_FENCE = re.compile(r"^(```\w+) (\S+)$", re.MULTILINE)


def place(path: str) -> str:
    """Where a file of the repository is in the site; both paths are relative, with slashes."""
    return FIRST_PAGES.get(path, path.removeprefix("docs/"))


def origin(place: str) -> str:
    """The file of the repository at a place in the site."""
    first = {there: path for path, there in FIRST_PAGES.items()}
    return first.get(place) or (f"docs/{place}" if (ROOT / "docs" / place).is_file() else place)


def outside() -> list[str]:
    """The files outside `docs/` that the site needs: the first pages, and what any page links to."""
    found = dict.fromkeys(FIRST_PAGES)
    waiting = [*FIRST_PAGES, *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))]
    while waiting:
        page = waiting.pop()
        linked = [
            target for target in _targets(page) if not target.startswith("docs/") and target not in found
        ]
        found |= dict.fromkeys(linked)
        waiting += [target for target in linked if target.endswith(".md")]
    return list(found)


def for_site(text: str, path: str) -> str:
    """The text of a page with links as the site needs them.

    Args:
        text: Markdown, with links as they work in the repository.
        path: The page in the repository.
    """

    def link(match: re.Match[str]) -> str:
        target = _resolve(match[1], path)
        if target is None:
            return match[1]
        return os.path.relpath(place(target), Path(place(path)).parent).replace(os.sep, "/")

    # A path after the language is the file that the block shows.
    return _FENCE.sub(r'\1 title="\2"', _LINK.sub(link, text))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files outside `docs/`."""
    from mkdocs.structure.files import File

    for path in outside():
        files.append(File.generated(config, place(path), content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites the links of a page."""
    return for_site(markdown, origin(page.file.src_uri))


def _targets(page: str) -> Iterator[str]:
    for target in _LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        resolved = _resolve(target, page)
        if resolved is not None:
            yield resolved


def _resolve(target: str, page: str) -> str | None:
    """The file of the repository that a link leads to, or nothing if it leads elsewhere."""
    path = Path(os.path.normpath(Path(page).parent / target))
    return path.as_posix() if (ROOT / path).is_file() else None
