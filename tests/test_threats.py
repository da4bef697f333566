"""Each row of the threats names a test that there is, or says what is left to the user.

No module: docs/threats.md is a document.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "threats.md"
CELLS = [line[1:-1].split("|") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
ROWS = [[cell.strip() for cell in row] for row in CELLS if len(row) == 4 and row[0].strip("- ")]
THREATS = [row for row in ROWS if row[0] != "Threat"]


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions}


def test_there_are_threats() -> None:
    assert len(THREATS) > 30
    assert len({row[0] for row in THREATS}) == len(THREATS)


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row[0])
def test_what_is_promised_has_a_test_and_what_is_not_is_said(row: list[str]) -> None:
    threat, does, does_not, test = row
    assert threat
    if not does:
        assert does_not
        assert not test
        return
    named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", test)
    assert named is not None
    assert named[2] in names_in(ROOT / named[1])
