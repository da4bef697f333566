"""The house rules that a reader can rely on: imports point down, files are short, start-up is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "tvmerge"

FLOORS = (
    ("errors", "records", "_version"),
    ("_util", "protocols"),
    ("option", "pretrained", "reasoning"),
    ("merging", "scoring", "report"),
    ("judging", "engines", "study"),
    ("tasks",),
    ("config",),
    ("run",),
    ("dry_run",),
    ("testing",),
    ("api",),
    ("cli", "__init__"),
    ("__main__",),
)
"""The rooms from the ground up; each imports from floors below its own only."""

HEAVY = {"torch", "transformers", "optuna", "vllm", "ray", "openai", "anthropic", "cohere", "numpy", "rich"}


MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def _room(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def _imports(module: str) -> Iterator[str]:
    """The modules of the package that one imports, for annotations and within functions too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


IMPORTS = {module: {name for name in _imports(module) if name in MODULES} for module in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    for imported in IMPORTS[module]:
        if _room(imported) != _room(module):
            assert floor[_room(imported)] < floor[_room(module)], f"{module} imports {imported}"


def test_no_files_import_each_other_in_a_circle() -> None:
    circle: list[str] = []
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert not circle


@pytest.mark.parametrize("module", MODULES)
def test_a_file_has_one_idea_and_a_function_one_step(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


def test_help_and_settings_load_nothing_heavy() -> None:
    script = (
        "import sys, tvmerge, tvmerge.records, tvmerge.protocols, tvmerge.config, tvmerge.cli.app\n"
        "code = tvmerge.cli.app.run(['optimize', '--help'])\n"
        f"print(code, sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
