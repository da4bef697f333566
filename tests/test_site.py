"""The documentation as a site: every page in the navigation, every link, the API from the code.

No module: the documents.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest

import tvmerge
from docs.site import for_site, origin, outside, place
from tests.documents import DOCUMENTS, ROOT

PAGES = {place(path.relative_to(ROOT).as_posix()) for path in DOCUMENTS}
ARTICLE = re.compile(r"<article.*?</article>", re.DOTALL)
CODE = re.compile(r"<(pre|code)\b.*?</\1>", re.DOTALL)


def test_the_navigation_names_every_page_once() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = Counter(re.findall(r"^ +- (?:[^#\n]*: )?(\S+\.md)$", settings, re.MULTILINE))
    assert set(named) == PAGES | {"examples/demo/README.md"}
    assert set(named.values()) == {1}


def test_a_page_outside_the_documentation_has_the_place_it_has_in_the_repository() -> None:
    assert {place("README.md"), place("README.ja.md")} == {"index.md", "ja/index.md"}
    for path in ("README.ja.md", "CHANGELOG.md", "docs/guide.md", "docs/ja/guide.md", "LICENSE"):
        assert origin(place(path)) == path
    assert set(outside()) >= {"CONTRIBUTING.md", "examples/chat-vector.toml", "examples/demo/README.md"}


@pytest.mark.parametrize(
    ("page", "there", "here"),
    [
        ("README.md", "docs/guide.md#the-run-folder", "guide.md#the-run-folder"),
        ("README.ja.md", "docs/ja/guide.md", "guide.md"),
        ("docs/files.md", "../examples/chat-vector.toml", "examples/chat-vector.toml"),
        ("docs/ja/getting-started.md", "../../examples/demo/README.md", "../examples/demo/README.md"),
        ("docs/ja/guide.md", "../../README.ja.md", "index.md"),
        ("docs/guide.md", "https://example.org/docs/guide.md", "https://example.org/docs/guide.md"),
        ("docs/guide.md", "#the-run-folder", "#the-run-folder"),
    ],
)
def test_a_link_leads_to_the_same_page_in_the_site(page: str, there: str, here: str) -> None:
    assert for_site(f"see [this]({there}).", page) == f"see [this]({here})."


def test_a_block_that_shows_a_file_has_its_path_as_the_title() -> None:
    assert for_site("```toml run.toml\na = 1\n```\n", "docs/guide.md").startswith(
        '```toml title="run.toml"\n'
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


needs_mkdocs = pytest.mark.skipif(
    not all(map(find_spec, ("material", "mkdocs", "mkdocstrings"))), reason="the extra docs is not installed"
)


@needs_mkdocs
def test_every_link_of_the_site_leads_to_a_file_of_it(site: Path) -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    assert len(pages) > len(PAGES)
    for page, text in pages.items():
        for target in re.findall(r'(?:href|src)="([^"]+)"', "".join(ARTICLE.findall(text))):
            if "://" not in target:
                path, _, anchor = target.partition("#")
                linked = (page.parent / path).resolve() if path else page
                assert linked.is_file(), f"{page.name}: {target}"
                assert not anchor or f'id="{unquote(anchor)}"' in pages[linked], f"{page.name}: {target}"


@needs_mkdocs
def test_no_markdown_is_left_in_the_site(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = CODE.sub("", "".join(ARTICLE.findall(page.read_text(encoding="utf-8"))))
        assert not re.search(r"<p>[^<]*\n[-*|] |<p>\||```|\]\(|:::", text), page.name


@needs_mkdocs
def test_the_page_of_the_api_describes_every_name_of_the_package(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    described = {name.rpartition(".")[2] for name in re.findall(r'<h\d id="(tvmerge\.[\w.]+)"', text)}
    assert set(tvmerge.__all__) - {"__version__", "testing"} <= described
