"""What is told about an installation."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tvmerge.dry_run import doctor
from tvmerge.dry_run.doctor import Finding, examine


def told(topic: str) -> list[Finding]:
    return [finding for finding in examine() if finding.topic == topic]


def test_packages_devices_keys_and_the_cache_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "geheim")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = list(examine())
    assert not any(finding.problem for finding in found)
    text = "\n".join(map(str, found))
    for part in (
        f"torch {version('torch')}",
        f"extra openai: openai {version('openai')}",
        "GEMINI_API_KEY is set, for ",
        "OPENAI_API_KEY is not set, for ",
        "--engine auto chooses ",
    ):
        assert part in text
    assert "geheim" not in text


def test_a_package_that_is_missing_or_of_another_release_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        doctor, "requires", lambda name: ["optuna>=999", "no-such-package>=1", 'nor-this; extra == "fun"']
    )
    other, _, missing = told("packages")
    assert (other.problem, missing.problem) == (True, True)
    assert "pip install 'optuna>=999'" in other.text
    assert "no-such-package" in missing.text
    (extra,) = told("extra fun")
    assert not extra.problem
    assert "pip install 'tvmerge[fun]'" in extra.text


def test_a_cache_that_cannot_be_written_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path / "file"))
    (cache,) = told("cache")
    assert cache.problem
    assert str(cache).startswith("cache: PROBLEM: ")


def test_a_judge_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("judges").mkdir()
    Path("judges/broken.toml").write_text("what = 1\n", encoding="utf-8")
    (judge,) = told("judges")
    assert "unknown key 'what'" in judge.text


def test_torch_that_cannot_be_imported_is_a_problem_and_the_rest_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = list(examine())
    (torch,) = (finding for finding in found if finding.topic == "torch")
    assert torch.problem
    assert "cannot be imported" in torch.text
    assert found[-1].topic == "cache"


def test_a_device_that_cannot_be_used_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def busy(number: int) -> str:
        raise RuntimeError("CUDA error: all devices are busy\nfor debugging")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", busy)
    (device,) = told("cuda:0")
    assert str(device) == "cuda:0: PROBLEM: cannot be used: CUDA error: all devices are busy"


def test_a_copy_that_is_not_installed_is_examined_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", none)
    (packages,) = told("packages")
    assert "without being installed" in packages.text
