"""Which known name an unknown one is meant for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmerge._util.suggest import closest, did_you_mean, near_file, unknown_names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("demmo", "demo"),
        ("DEMO", "demo"),
        ("chat_vector", "Chat-Vector"),
        ("chat-vektor", "Chat-Vector"),
        ("nothing-like-it", None),
        ("", None),
    ],
)
def test_the_closest_name_is_suggested_whatever_its_case(name: str, meant: str | None) -> None:
    known = ["demo", "Chat-Vector", "x"]
    assert closest(name, known) == meant
    assert did_you_mean(name, known) == ("" if meant is None else f" (did you mean {meant}?)")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("price", "price_input, price_output or Price-Batch"),
        ("PRICE", "price_input, price_output or Price-Batch"),
        ("price_inpt", "price_input"),
        ("rate", "rate_limit"),
        ("limit", "limit"),
        ("limi", "limit"),
    ],
)
def test_all_names_that_begin_with_a_word_are_suggested(name: str, said: str) -> None:
    known = ["price_input", "price_output", "Price-Batch", "rate_limit", "limit", "limit_a", "limit_b"]
    assert did_you_mean(name, known) == f" (did you mean {said}?)"


def test_of_many_unknown_names_the_first_are_listed() -> None:
    assert unknown_names(["demmo", "z"], ["demo"]) == "demmo (did you mean demo?), z"
    many = [f"k{number}" for number in range(200_000)]
    assert unknown_names(many, ["demo"]) == "k0, k1, k2, k3, k4 and 199,995 more"


def test_nothing_is_suggested_where_nothing_is_known() -> None:
    assert did_you_mean("demo", []) == ""


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("rnus/demo/study.db", "runs/demo/study.db"),
        ("runs/dmeo/study.db", "runs/demo/study.db"),
        ("runs/demo/studdy.db", "runs/demo/study.db"),
        ("runs/empty-folder/study.db", None),
        ("runs/emty/study.db", None),
        ("elsewhere/demo/study.db", None),
    ],
)
def test_a_file_is_suggested_if_one_part_of_its_path_is_misspelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, meant: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "runs" / "demo" / "study.db").touch()
    assert near_file(Path(path)) == (None if meant is None else Path(meant))
