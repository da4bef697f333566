"""The time of an ask, measured on a small study.

No module: perf/asks, which is no part of the package.
"""

from __future__ import annotations

import pytest

from perf.asks import Case, main, names, stored
from tvmerge.study.blocks.sampler import REFITS


def test_a_line_is_printed_for_each_size(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--weights", "4", "12", "--candidates", "19", "--rounds", "1"])
    head, *lines = capsys.readouterr().out.splitlines()[1:]
    assert head.split() == ["weights", "candidates", "in", "flight", "ask", "and", "refit"]
    assert [line.split()[:3] for line in lines] == [[w, "19", n] for w in ("4", "12") for n in ("1", "4")]
    assert all(float(seconds) > 0 for line in lines for seconds in line.split()[3:])


@pytest.mark.parametrize("window", [1, 4])
def test_the_study_is_one_ask_before_a_refit(window: int) -> None:
    case = Case(8, 20, window, 0, 80)
    study = stored(case)
    made = study.ask()
    assert made.number + 1 - len(study.running()) + 1 in REFITS
    assert len(study.running()) == window


@pytest.mark.parametrize("weights", [8, 48, 291])
def test_names_are_those_of_layers_and_tensors(weights: int) -> None:
    found = names(weights)
    assert len(set(found)) == len(found) == weights
    assert any(".1" in name for name in found)
