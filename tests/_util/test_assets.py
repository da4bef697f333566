"""Where judges, benchmarks and prompts are looked for, and what is said of a name that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tvmerge._util.assets import find
from tvmerge.errors import AssetError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def a_benchmark(folder: str) -> Path:
    Path(folder).mkdir(parents=True)
    (Path(folder) / "question.jsonl").write_text("{}\n", encoding="utf-8")
    return Path(folder)


def test_a_path_comes_first_then_the_folder_of_assets_then_the_working_directory() -> None:
    here = a_benchmark("benchmarks/mine")
    assert find("benchmarks", "mine") == Path.cwd() / here
    given = a_benchmark("given/benchmarks/mine")
    assert find("benchmarks", "mine", Path("given")) == given
    path = a_benchmark("mine")
    assert find("benchmarks", "mine", Path("given")) == path


def test_a_name_that_is_nearly_known_is_suggested() -> None:
    with pytest.raises(
        AssetError, match=r"^unknown benchmark 'japanese-chats' \(did you mean japanese-chat\?\)"
    ):
        find("benchmarks", "japanese-chats")


@pytest.mark.parametrize("folder", ["FastChat/fastchat/llm_judge/data", "fastchat/llm_judge/data", "data"])
def test_a_benchmark_in_fastchats_own_folder_is_suggested_by_its_path(folder: str) -> None:
    path = a_benchmark(f"{folder}/example")
    with pytest.raises(AssetError, match=rf"\(did you mean {re.escape(str(path))}\?\)"):
        find("benchmarks", "example")
    assert find("benchmarks", str(path)) == path


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mt-bench", "llm_judge/data/mt_bench of a clone of github.com/lm-sys/FastChat"),
        ("japanese_mt_bench", "llm_judge/data/japanese_mt_bench of a clone of github.com/Stability-AI"),
        ("jglue", "use --jglue-tasks or --jglue-data instead"),
    ],
)
def test_a_well_known_benchmark_that_does_not_come_with_tvmerge_is_told_where_it_is(
    name: str, place: str
) -> None:
    with pytest.raises(AssetError, match=re.escape(place)):
        find("benchmarks", name)


def test_a_benchmark_of_a_clone_is_suggested_under_the_name_of_its_folder() -> None:
    path = a_benchmark("FastChat/fastchat/llm_judge/data/mt_bench")
    with pytest.raises(AssetError, match=rf"\(did you mean {re.escape(str(path))}\?\)"):
        find("benchmarks", "mt-bench")


def test_what_is_nowhere_is_told_with_the_places_and_the_names_that_are_known() -> None:
    with pytest.raises(AssetError) as raised:
        find("benchmarks", "nowhere")
    told = str(raised.value)
    assert "did you mean" not in told
    assert str(Path.cwd() / "benchmarks") in told
    assert "known: demo, japanese-chat; any other folder with a question.jsonl is named by its path" in told
