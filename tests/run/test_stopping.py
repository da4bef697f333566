"""`--stop-when`: when a search by blocks ends, for any timing, after any interruption, with another bound."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.study.blocks.searches import QUESTIONS, answer, drive, open_blocks, rows
from tvmerge._util.urls import sqlite_url
from tvmerge.errors import ConfigError
from tvmerge.judging.spec import JudgeSpec
from tvmerge.records import JUDGING_USD, Evaluation
from tvmerge.run.loop import ask_and_tell
from tvmerge.run.stopping import EVERY, Stopping, check_prices
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.blocks.table import Ask
from tvmerge.study.stop_when import StopWhen
from tvmerge.study.storage import USD_PER_ANSWER, read_study

MOST = 9 * QUESTIONS
BOUND = StopWhen(0.4)


class DeadError(Exception):
    """The process is killed."""


def searched(
    folder: Path,
    when: StopWhen | None,
    window: int = 1,
    *,
    usd: float = 0.0,
    price: float | None = None,
    dies_after: int | None = None,
    delays: random.Random | None = None,
) -> tuple[BlockStudy, Stopping]:
    """Search to the end, or until so many more asks were told; judging an answer costs `usd`."""
    study = open_blocks(folder, window)
    stopping = Stopping(study, when, price)
    told = 0

    async def evaluate(ask: Ask) -> Evaluation:
        if delays is not None:
            await asyncio.sleep(delays.uniform(0, 0.003))
        return Evaluation(study.trials[ask.trial].recipe)

    async def finish(ask: Ask, evaluation: Evaluation) -> None:
        nonlocal told
        found = answer(evaluation.recipe, ask)
        before = study.trials[ask.trial].attrs
        cost = before.get(JUDGING_USD, 0.0) + usd * (ask.stop - ask.start)
        attrs = {JUDGING_USD: round(cost, 9)} if usd and not found.failure else {}
        study.tell(ask, Told(found.scores, attrs, found.failure))
        told += 1
        if told == dies_after:
            raise DeadError
        stopping.look()

    async def go() -> None:
        stopping.look()
        await ask_and_tell(study, MOST, evaluate, finish, goes_on=lambda: stopping.goes_on)

    asyncio.run(go())
    return study, stopping


def test_it_stops_at_the_first_look_under_the_bound_and_tells_what_is_in_flight(tmp_path: Path) -> None:
    study, stopping = searched(tmp_path, BOUND, 3)
    asks = study.checkpoint(EVERY)
    assert not stopping.goes_on
    assert study.running() == ()
    assert 20 <= asks < MOST // 4
    looks = [study.prospect(at) for at in range(EVERY, asks + 1, EVERY)]
    assert [found is not None and found.gain < BOUND.bound for found in looks] == [False] * (
        len(looks) - 1
    ) + [True]
    assert study.asked == study.told == 4 * (asks + 2) - _short_blocks(study)
    prospects = stopping.prospects()
    assert prospects is not None
    assert prospects["stopped"]
    assert prospects["stop_when"] == "0.4 points"
    assert prospects["gain"] == looks[-1].gain if looks[-1] else False


def _short_blocks(study: BlockStudy) -> int:
    """What the last blocks of 22 questions lack of 4."""
    blocks = [row for trial in study.trials for row in trial.attrs["blocks"]]
    return sum(4 - (stop - start) for _, start, stop, _ in blocks)


@pytest.mark.parametrize("window", [4, 11])
def test_any_timing_and_any_kill_give_the_same_table(window: int, tmp_path: Path) -> None:
    whole, _ = searched(tmp_path / "whole", BOUND, window)
    whole.settle(2)
    draw, cut = random.Random(window), tmp_path / "cut"
    for _ in range(5):
        try:
            searched(cut, BOUND, window, dies_after=draw.randint(1, 9), delays=draw)
        except DeadError:
            continue
    again, stopping = searched(cut, BOUND, window, delays=draw)
    again.settle(2)
    assert not stopping.goes_on
    assert rows(again) == rows(whole)


def test_a_stopped_search_stays_stopped_and_goes_on_with_a_smaller_bound_as_if_it_had_not_stopped(
    tmp_path: Path,
) -> None:
    stopped, first = searched(tmp_path / "stopped", BOUND, 4)
    stopped.settle(2)
    settled = rows(stopped)
    again, second = searched(tmp_path / "stopped", BOUND, 4)
    again.settle(2)
    assert rows(again) == settled
    assert second.prospects() == first.prospects()
    smaller, _ = searched(tmp_path / "stopped", StopWhen(BOUND.bound / 2), 4)
    assert smaller.told > again.told
    without, stopping = searched(tmp_path / "stopped", None, 4)
    assert stopping.goes_on
    whole = drive(lambda: open_blocks(tmp_path / "whole", 4), MOST)
    for study in (without, whole):
        study.settle(2)
    assert [row[:4] for row in rows(without)] == [row[:4] for row in rows(whole)]


def test_a_search_without_a_bound_reports_its_prospects_at_the_end(tmp_path: Path) -> None:
    study, stopping = searched(tmp_path, None)
    prospects = stopping.prospects()
    assert prospects is not None
    assert prospects["answers"] == study.told >= MOST
    assert not prospects["stopped"]
    assert prospects["stop_when"] is None
    assert prospects["regret"] <= prospects["regret_95"]


def test_a_bound_per_usd_weighs_the_gain_with_what_as_many_answers_cost(tmp_path: Path) -> None:
    price = 0.02
    study, stopping = searched(tmp_path / "dear", StopWhen(0.05, per_usd=True), usd=price)
    asks = study.checkpoint(EVERY)
    rates = [
        None if found is None else found.gain / (price * found.answers)
        for found in (study.prospect(at) for at in range(EVERY, asks + 1, EVERY))
    ]
    assert not stopping.goes_on
    assert [rate is not None and rate < 0.05 for rate in rates] == [False] * (len(rates) - 1) + [True]
    assert read_study(f"sqlite:///{tmp_path / 'dear' / 'study.db'}", "s").attrs[USD_PER_ANSWER] == price
    # What is recorded counts, not what other answers cost.
    again, _ = searched(tmp_path / "dear", StopWhen(0.05, per_usd=True), usd=50.0, price=price)
    assert rows(again) == rows(study)


def test_a_bound_per_usd_stops_a_killed_run_where_it_stops_another(tmp_path: Path) -> None:
    """Which answers a run has paid for itself does not matter; what is recorded is to two digits."""
    bound, usd, window = StopWhen(0.05, per_usd=True), 0.02345, 3
    whole, _ = searched(tmp_path / "whole", bound, window, usd=usd)
    cut = tmp_path / "cut"
    for dies_after in (5, 11, 6, 9):
        with pytest.raises(DeadError):
            searched(cut, bound, window, usd=usd, dies_after=dies_after)
    again, stopping = searched(cut, bound, window, usd=usd)
    assert not stopping.goes_on
    assert rows(again) == rows(whole)
    prices = [
        read_study(sqlite_url(tmp_path / name / "study.db"), "s").attrs[USD_PER_ANSWER]
        for name in ("whole", "cut")
    ]
    assert prices == [0.023, 0.023]


def test_answers_that_cost_nothing_are_worth_any_gain(tmp_path: Path) -> None:
    study, stopping = searched(tmp_path, StopWhen(1000.0, per_usd=True))
    assert stopping.goes_on
    assert study.told >= MOST


def test_a_bound_per_usd_needs_a_price() -> None:
    paid = JudgeSpec("paid", "openai", "m", price_input=1.0, price_output=2.0)
    unknown, free = JudgeSpec("unknown", "openai", "m"), JudgeSpec("rules", "rules")
    when = StopWhen(0.1, per_usd=True)
    check_prices(when, [paid, free])
    for specs in ([unknown], [free]):
        check_prices(StopWhen(0.1), specs)
        check_prices(None, specs)
    with pytest.raises(
        ConfigError, match=r"0\.1/USD needs a price, and the judge 'unknown' has none: put price_in"
    ):
        check_prices(when, [paid, unknown])
    with pytest.raises(
        ConfigError, match=r"0\.1/USD needs a judge with a price, and these answers are judged for n"
    ):
        check_prices(when, [free])
