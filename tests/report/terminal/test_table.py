"""The table a run ends with."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from tests.report import results
from tvmerge.report.conclusion import conclusion
from tvmerge.report.result import RunRecord
from tvmerge.report.terminal.table import result_table


def printed(result: RunRecord, width: int = 140) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(result_table(result))
    return stream.getvalue()


def row(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip().startswith(start)]
    return line.split()


def test_baselines_come_first_and_the_best_last() -> None:
    lines = [line.strip() for line in printed(results.simple()).splitlines()]
    names = ("weight 0", "weight 1", "best uniform weight (0.7)", "winner (trial 23)")
    places = [next(i for i, line in enumerate(lines) if line.startswith(name)) for name in names]
    assert places == sorted(places)


def coloured(result: RunRecord) -> str:
    """The last line as a terminal gets it, with its control codes."""
    stream = io.StringIO()
    Console(file=stream, width=300, force_terminal=True, color_system="standard").print(result_table(result))
    return stream.getvalue().rstrip().splitlines()[-1]


def test_a_verdict_has_a_colour_and_too_few_questions_have_none() -> None:
    assert coloured(results.simple()).startswith("\x1b[1;32mThe winner")
    few = coloured(results.few(5))
    assert "too few questions to say" in few
    assert few.startswith("\x1b[1mThe winner")
    assert "\x1b[3" not in few


def test_a_row_has_both_scores_and_the_gain_with_its_interval() -> None:
    cells = " ".join(row(printed(results.simple()), "weight 1"))
    assert cells.endswith("6.30 ± 0.21 6.18 ± 0.25 +0.52 [+0.20, +0.84]")


def test_a_contender_that_is_the_best_has_no_gain_over_itself() -> None:
    for key in ("uniform", "weight_1"):
        made = results.simple()
        best = made.contenders[0]
        same = tuple(replace(c, weights=best.weights) if c.key == key else c for c in made.contenders)
        text = printed(replace(made, contenders=same))
        assert " ".join(row(text, "best uniform" if key == "uniform" else "weight 1")).endswith(
            "the same model"
        )
        assert text.count("the same model") == 1


def test_its_caption_says_what_a_longer_search_can_gain() -> None:
    found = {"answers": 1200, "gain": 0.0312, "regret": 0.0861, "regret_95": 0.2, "stop_when": None}
    going = replace(results.simple(), prospects={**found, "stopped": False})
    assert (
        "after 1,200 answers, expected gain of as many again: 0.031 points; "
        "estimated regret 0.086 (95%: up to 0.2)" in " ".join(printed(going).split())
    )
    stopped = replace(going, prospects={**found, "stop_when": "0.05 points", "stopped": True})
    assert (
        "stopped after 1,200 answers: expected gain of as many again under 0.05 points; estimated regret"
        in " ".join(printed(stopped).split())
    )


def test_it_ends_with_the_conclusion() -> None:
    made = results.simple()
    assert printed(made, width=400).rstrip().splitlines()[-1].strip() == conclusion(made)


def test_without_held_out_questions_it_falls_back_to_search_scores() -> None:
    text = printed(results.without_holdout(), width=400)
    assert "held-out" not in text
    assert " ".join(row(text, "weight 1")).endswith("6.30 ± 0.21 +1.10")
    assert "No questions were held out" in text


def test_names_that_look_like_markup_are_shown_as_they_are() -> None:
    text = printed(replace(results.simple(), study="[red]x[/red]", judge="[/]"))
    assert "[red]x[/red]" in text
    assert "rated by [/]" in text
