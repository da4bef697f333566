"""The house rules that a reader can rely on: imports point down, files are short, start-up is light.

No module: the files of tvmerge/ and tests/.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TEST_FOLDER = Path(__file__).resolve().parent

PACKAGE = TEST_FOLDER.parent / "tvmerge"

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


TESTS = {path.relative_to(PACKAGE.parent).as_posix(): path for path in sorted(TEST_FOLDER.rglob("*.py"))}


def _mirrors(path: Path) -> bool:
    within = path.relative_to(TEST_FOLDER)
    return (PACKAGE / within.with_name(within.name.removeprefix("test_"))).is_file()


@pytest.mark.parametrize("test", [name for name in TESTS if name.rpartition("/")[2].startswith("test_")])
def test_a_file_of_tests_mirrors_a_module_or_says_why_not(test: str) -> None:
    words = ast.get_docstring(ast.parse(TESTS[test].read_text(encoding="utf-8"))) or ""
    says_why = re.search(r"^(Several modules|No module): .*\.$", words, re.MULTILINE | re.DOTALL)
    assert bool(says_why) is not _mirrors(TESTS[test]), f"{test}: mirror a module, or end with why not"


def _is_private(name: str) -> bool:
    """Whether a name is private; notebooks call `_repr_html_` and its like."""
    return bool(re.fullmatch(r"_(?!_)(?!repr_\w+_$)(?!util$)(?!version$)\w+", name))


def _defined(path: Path) -> Iterator[str]:
    """The names of functions, classes, variables and attributes that a file defines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


OURS = {name for path in MODULES.values() for name in _defined(path) if _is_private(name)}


def _foreign_private_names(path: Path) -> Iterator[str]:
    """Private names that a file reads, replaces or imports although it does not define them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.startswith(("tvmerge", "tests")):
                yield from filter(_is_private, (*module.split("."), *(alias.name for alias in names)))
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name) if name in OURS:
                yield name
            case ast.Call(func=ast.Attribute(attr="setattr"), args=[_, ast.Constant(value=str(name)), *_]):
                yield from {name} & OURS
            case ast.Constant(value=str(text)) if re.fullmatch(r"tvmerge\.[\w.]+", text):
                yield from filter(_is_private, text.split("."))


@pytest.mark.parametrize("test", TESTS)
def test_tests_touch_no_private_name(test: str) -> None:
    assert [*_foreign_private_names(TESTS[test])] == []


def test_help_and_settings_load_nothing_heavy() -> None:
    script = (
        "import sys, tvmerge, tvmerge.records, tvmerge.protocols, tvmerge.config, tvmerge.cli.app\n"
        "code = tvmerge.cli.app.run(['optimize', '--help'])\n"
        f"print(code, sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
