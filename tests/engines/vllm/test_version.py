"""Without vLLM, or with another one, the engine says so before anything is loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tvmerge.engines.vllm.version import check_version
from tvmerge.errors import ConfigError, MissingExtraError


def install(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package called vllm, that is nothing but `text`, for one test."""
    (folder / "vllm").mkdir()
    (folder / "vllm" / "__init__.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    # Set, so that what the test imports is forgotten after it; deleted, so that it is imported.
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    del sys.modules["vllm"]


def test_a_missing_vllm_is_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "raise ModuleNotFoundError(name='vllm')", monkeypatch)
    with pytest.raises(MissingExtraError, match=r"tvmerge\[vllm\]"):
        check_version()


def test_an_untested_release_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "__version__ = '0.9.1'", monkeypatch)
    with pytest.raises(
        ConfigError, match=r"vLLM 0\.9\.1 has not been tested with tvmerge; .*--engine transformers"
    ):
        check_version()


def test_a_tested_release_is_accepted_whatever_its_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "__version__ = '0.32.5+cpu'", monkeypatch)
    assert check_version() == "0.32.5+cpu"


def test_a_vllm_that_breaks_at_its_import_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "raise RuntimeError('operator torchvision::nms does not exist')", monkeypatch)
    with pytest.raises(ConfigError, match="cannot be imported here: operator torchvision::nms"):
        check_version()
