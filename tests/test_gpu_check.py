"""The check of a GPU, on tiny models without one.

No module: programs in perf/.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perf.gpu import check
from perf.gpu.__main__ import main
from perf.gpu.figures import Figure
from tvmerge.merging.live import load_into


def test_the_check_runs_without_a_gpu_and_judges_values_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cpu", "--tiny"]) == 0
    printed = capsys.readouterr().out
    for name in (
        "58 kinds of tensors: 0 of",
        "copying within the device, read and written",
        "copying from pinned memory",
        "sources on the device: of the copy's speed",
        "sources in the page cache: of the copy's speed",
        "sources through pinned rings: of the copy's speed",
        "sources through pinned rings: memory of the host",
        "2 rows, first batch to the second",
        "2 rows, a decoding step",
        "2 trials: share that merging takes",
        "local 4-bit judge: ",
        "wrong values: 0 of",
    ):
        assert name in printed
    assert "FAILED" not in printed


def test_wrong_values_fail_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(model: Any, stream: Any) -> None:
        load_into(model, stream)
        with torch.no_grad():
            next(model.parameters())[3, 5] += 0.01

    monkeypatch.setattr(check, "load_into", load)
    monkeypatch.setattr(check, "CHECKED", 64)  # the value is not among the first
    assert main(["--device", "cpu", "--tiny"]) == 1
    assert "wrong values: 3 of" in capsys.readouterr().out


def test_a_machine_without_a_gpu_is_told_how_to_run_the_check() -> None:
    if not torch.cuda.is_available():
        assert main([]) == 2


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("speed", 0.9, goal=0.9), "ok"),
        (Figure("speed", 0.5, goal=0.9), "misses its goal"),
        (Figure("speed", 0.44, goal=0.9), "FAILED"),
        (Figure("memory", 500, goal=500, at_most=True), "ok"),
        (Figure("memory", 999, goal=500, at_most=True), "misses its goal"),
        (Figure("memory", 1001, goal=500, at_most=True), "FAILED"),
        (Figure("seconds", 3), ""),
    ],
)
def test_a_figure_fails_that_misses_its_goal_by_more_than_half(figure: Figure, verdict: str) -> None:
    assert figure.verdict == verdict
    assert figure.line(judged=True).endswith(verdict)
    assert verdict == "" or verdict not in figure.line(judged=False)
