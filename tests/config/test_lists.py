"""Where a comma divides a list, and where `=` begins a weight.

Several modules: `tvmerge._util.lists` and the settings that use it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmerge._util.lists import split
from tvmerge.config import load_config, weighted
from tvmerge.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (r"layers\.(0|1){1,2}", (r"layers\.(0|1){1,2}",)),
        ("lm_head,embed", ("lm_head", "embed")),
        (r"layers\.\d{1,2}\.mlp,norm", (r"layers\.\d{1,2}\.mlp", "norm")),
        ("q[,]_proj,k", ("q[,]_proj", "k")),
        ("[],]x,y", ("[],]x", "y")),
        ("[^],]x,y", ("[^],]x", "y")),
        (r"[\],]x,y", (r"[\],]x", "y")),
        (r"\[a,b", (r"\[a", "b")),
        (r"a\,b,c", (r"a\,b", "c")),
        ("(?:q,(k,v)),o", ("(?:q,(k,v))", "o")),
        ("(a,b", ("(a,b",)),
        ("a),b", ("a)", "b")),
        ("[(],a", ("[(]", "a")),
        (" , a,", (" a",)),
        ("", ()),
    ],
)
def test_commas_within_the_brackets_of_a_regular_expression_divide_nothing(
    text: str, values: tuple[str, ...]
) -> None:
    assert split(text, "expressions") == values


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a,b", "c", "d,e=0.5", "f=2"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a,b", ("a,b",)),
        ("c,a,b,owner/model@v1", ("c", "a,b", "owner/model@v1")),
        ("a,c,b", ("a", "c", "b")),
        ("a,b=0.3,c=0.7", ("a,b=0.3", "c=0.7")),
        ("d,e=0.5,c", ("d,e=0.5", "c")),
        ("x" * 5000 + ",\0,~nobody/y", ("x" * 5000, "\0", "~nobody/y")),
    ],
)
def test_a_comma_that_is_part_of_a_path_divides_nothing(text: str, values: tuple[str, ...]) -> None:
    assert split(text, "paths") == values


def test_other_lists_are_divided_at_every_comma() -> None:
    assert split("0.5,1.5,") == ("0.5", "1.5")


def test_a_number_behind_a_name_is_a_weight_unless_the_whole_is_a_name() -> None:
    names = {"q", "q=0.5"}.__contains__
    assert weighted("q=0.7", names) == ("q", 0.7)
    assert weighted("q=0.5", names) == ("q=0.5", 1.0)
    assert weighted("q=0.5=2", names) == ("q=0.5", 2.0)
    assert weighted("arc=0.5") == ("arc", 0.5)
    with pytest.raises(ConfigError, match="the weight of q must be larger than 0, got -1"):
        weighted("q=-1", names)


def test_a_benchmark_may_be_called_like_one_with_a_weight(here: Path) -> None:
    flags = {"target_model": ("t",), "base_model": "b", "tuned_model": "u"}
    for place in (here / "q=0.5", here / "mine" / "benchmarks" / "r=2"):
        place.mkdir(parents=True)
        (place / "question.jsonl").touch()
    config = load_config({**flags, "bench_name": ("q=0.5", "r=2", "demo=3"), "assets": "mine"})
    assert config.benchmarks == (("q=0.5", 1.0), ("r=2", 1.0), ("demo", 3.0))
    assert load_config({**flags, "bench_name": ("r=2",)}).benchmarks == (("r", 2.0),)
