"""The names that `import tvmerge` gives.

No module: the package itself.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import tvmerge

NAMES = {
    "Answer",
    "Question",
    "Rating",
    "Recipe",
    "RunConfig",
    "RunResult",
    "TvmergeError",
    "Unrated",
    "judge",
    "load_config",
    "load_result",
    "merge",
    "optimize",
    "optimize_async",
    "plan",
    "status",
    "testing",
}


def test_these_are_the_names_and_no_others() -> None:
    assert set(tvmerge.__all__) == {*NAMES, "__version__"} == set(dir(tvmerge))
    with pytest.raises(AttributeError, match="module 'tvmerge' has no attribute 'optimise'"):
        tvmerge.optimise  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_is_documented_and_typed(name: str) -> None:
    found = getattr(tvmerge, name)
    assert inspect.getdoc(found)
    if inspect.isfunction(found):
        parameters = inspect.signature(found).parameters.values()
        assert all(parameter.annotation is not parameter.empty for parameter in parameters)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_type_checkers_see_what_python_finds(name: str) -> None:
    tree = ast.parse(Path(tvmerge.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    found = getattr(tvmerge, name)
    assert seen[name] == ("tvmerge" if inspect.ismodule(found) else found.__module__)


def test_import_loads_nothing_of_the_package_but_its_version() -> None:
    script = "import sys, tvmerge; print(sorted(name for name in sys.modules if 'tvmerge' in name))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == ["tvmerge", "tvmerge._version"]


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(tvmerge.__file__).parent / "py.typed").is_file()


def test_pytest_is_not_needed_to_import_what_tests_need() -> None:
    script = "import sys, tvmerge; tvmerge.testing.demo_config(); print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
