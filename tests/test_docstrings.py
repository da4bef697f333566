"""The examples in docstrings run, and say what they say.

No module: the docstrings of all.
"""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import tvmerge

PACKAGE = Path(tvmerge.__file__).parent
WITH_EXAMPLES = [
    ".".join(("tvmerge", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory as the examples assume it: a finished run of the demo, and a file with settings."""
    made = tmp_path_factory.mktemp("examples")
    (made / "run.toml").write_text(
        'target_model = "a"\ntuned_model = "b"\nbase_model = "c"\nbench_name = "demo"\n', encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.setenv("TVMERGE_CACHE_DIR", str(made / "cache"))
        tvmerge.optimize(tvmerge.testing.demo_config(), n_trials=2, max_new_tokens=2)
    return made


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_of_a_module_run(module: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(folder / "cache"))
    found = doctest.testmod(import_module(module))
    assert found.attempted > 0
    assert found.failed == 0


def test_every_function_of_the_python_api_has_an_example() -> None:
    functions = [getattr(tvmerge, name) for name in tvmerge.__all__ if name.islower() and name != "testing"]
    for function in functions:
        if callable(function) and function is not tvmerge.optimize_async:
            assert ">>> " in (function.__doc__ or ""), function
