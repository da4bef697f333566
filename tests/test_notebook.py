"""The notebook runs from top to bottom.

No module: an example.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.documents import ROOT
from tvmerge.config import options

NOTEBOOK = ROOT / "examples" / "demo.ipynb"

RUNNER = """
import ast, json, sys
names = {"__name__": "__main__"}
for number, source in enumerate(json.load(sys.stdin)):
    tree = ast.parse(source, f"cell {number}")
    shown = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number}", "exec"), names)
    if shown is not None:
        value = eval(compile(ast.Expression(shown.value), f"cell {number}", "eval"), names)
        if value is not None:
            print(value._repr_html_())
"""
"""Runs cells as a kernel does, which shows the value of a cell's last line."""


def cells(kind: str) -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    texts = ("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind)
    # Only a kernel can install packages.
    return [re.sub(r"%pip .*", "pass", text) for text in texts]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("notebook")
    environment = {**os.environ, "TVMERGE_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(cells("code")),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "runs" / "notebook" / "report.html").is_file()
    return done.stdout


def test_the_notebook_plans_searches_and_answers(printed: str) -> None:
    assert "as much as a trial" in printed
    assert "The winner, trial" in printed
    assert "<svg" in printed
    assert re.search(r"^best of the search: .*です。", printed, re.MULTILINE)
    assert "candidates, as before: True" in printed


def test_the_notebook_is_stored_without_outputs() -> None:
    stored: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in stored["cells"]}) == len(stored["cells"])


def test_the_settings_in_its_text_exist() -> None:
    (snippet,) = [text for text in cells("markdown") if "```python" in text]
    (call,) = [
        node
        for node in ast.walk(ast.parse(snippet.split("```python\n")[1].split("```")[0]))
        if isinstance(node, ast.Call)
    ]
    assert {keyword.arg for keyword in call.keywords} <= set(options())
