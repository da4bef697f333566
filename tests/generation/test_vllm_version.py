"""Without vLLM, or with another one, the engine says so before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmerge.errors import ConfigError, MissingExtraError
from tvmerge.generation.vllm_version import check_version


def install(folder: Path, text: str) -> None:
    """A package called vllm, that is nothing but `text`."""
    (folder / "vllm").mkdir()
    (folder / "vllm" / "__init__.py").write_text(text, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched for packages first."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "vllm", raising=False)
    return tmp_path


def test_a_missing_vllm_is_named_with_the_extra(site: Path) -> None:
    install(site, "raise ModuleNotFoundError(name='vllm')")
    with pytest.raises(MissingExtraError, match=r"tvmerge\[vllm\]"):
        check_version()


def test_an_untested_release_is_refused(site: Path) -> None:
    install(site, "__version__ = '0.9.1'")
    with pytest.raises(
        ConfigError, match=r"vLLM 0\.9\.1 was not tested with tvmerge; .*--engine transformers"
    ):
        check_version()


def test_a_tested_release_is_accepted_whatever_its_build(site: Path) -> None:
    install(site, "__version__ = '0.32.5+cpu'")
    assert check_version() == "0.32.5+cpu"


def test_a_vllm_that_breaks_at_its_import_is_no_traceback(site: Path) -> None:
    install(site, "raise RuntimeError('operator torchvision::nms does not exist')")
    with pytest.raises(ConfigError, match="cannot be imported here: operator torchvision::nms"):
        check_version()
