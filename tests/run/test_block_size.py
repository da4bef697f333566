"""What a run measures of candidates and judges, and the number of questions that follows."""

from __future__ import annotations

import asyncio
import html
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from examples.demo.generate import BENCHMARK, fresh_questions, question_row
from tests.study.blocks.searches import search
from tvmerge._util.caches import Caches
from tvmerge._util.files import write_jsonl
from tvmerge._util.trace import Trace
from tvmerge._util.urls import sqlite_url
from tvmerge.config import RunConfig
from tvmerge.judging.spec import JudgeSpec
from tvmerge.records import JUDGING_USD
from tvmerge.report.page.page import render_page
from tvmerge.report.result_file import read_record
from tvmerge.run.block_size import AskClock, SizingStudy, merges_of
from tvmerge.run.judging_price import JudgingPrice
from tvmerge.run.optimize import optimize
from tvmerge.run.progress import progress_of
from tvmerge.study.blocks.sampler import BlockSampler
from tvmerge.study.blocks.size import ASK_TIMES, sizes_of
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.blocks.table import Ask, asks_of
from tvmerge.study.status import read_status
from tvmerge.study.storage import enter_study, open_storage, read_study
from tvmerge.tasks.build import build_suite
from tvmerge.testing import demo_config


class Times:
    """A clock and a count of merges that a test moves on."""

    def __init__(self) -> None:
        self.now, self.merges = 100.0, 0

    def clock(self) -> AskClock:
        return AskClock(lambda: self.merges, lambda: self.now)


def tell(times: Times, clock: AskClock, asks: Sequence[tuple[int, float, int]]) -> None:
    """Tell asks: (questions, seconds since the last one, merges since then)."""
    for questions, seconds, merges in asks:
        times.now += seconds
        times.merges += merges
        clock.told(Ask(0, 0, 0, questions), 4 if questions < 8 else 16)


def test_the_first_ask_of_each_size_is_left_out() -> None:
    times = Times()
    clock = times.clock()
    tell(times, clock, [(4, 60, 1), (4, 2, 1), (4, 4, 1), (16, 30, 1), (16, 5, 1), (16, 5, 1)])
    assert clock.seconds() == {4: 3.0, 16: 5.0}


def test_asks_that_were_answered_before_do_not_count() -> None:
    times = Times()
    clock = times.clock()
    tell(times, clock, [(4, 9, 0), (4, 0.1, 0), (4, 2, 1), (4, 0.1, 0), (4, 2, 1)])
    assert clock.seconds()[4] == pytest.approx(4.2 / 2)
    tell(times, clock, [(16, 1, 0), (16, 1, 0)])
    assert set(clock.seconds()) == {4}


def test_asks_in_flight_at_once_share_the_time() -> None:
    times = Times()
    clock = times.clock()
    tell(times, clock, [(4, 6, 2), (4, 0, 0), (4, 6, 2), (4, 0, 0), (4, 6, 2)])
    assert clock.seconds() == {4: 3.0}


def test_nothing_is_known_of_the_time_before_two_asks() -> None:
    times = Times()
    clock = times.clock()
    assert clock.seconds() == {}
    tell(times, clock, [(4, 1, 1), (16, 1, 1)])
    assert clock.seconds() == {}


def test_last_blocks_count_with_the_others_and_small_rests_do_not() -> None:
    times = Times()
    clock = times.clock()
    tell(times, clock, [(16, 9, 1), (20, 5, 1), (16, 4, 1), (8, 1, 1), (20, 6, 1)])
    assert clock.seconds() == {16: 5.0}


def test_what_was_measured_before_counts_too() -> None:
    times = Times()
    clock = times.clock()
    tell(times, clock, [(4, 60, 1), (4, 2, 1), (4, 4, 1), (16, 30, 1), (16, 5, 1)])
    resumed = AskClock(lambda: times.merges, lambda: times.now, clock.as_json())
    assert resumed.seconds() == clock.seconds()
    tell(times, resumed, [(16, 30, 1), (16, 8, 1)])
    assert resumed.seconds() == {4: 3.0, 16: 6.5}


@pytest.fixture(scope="module")
def price(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgingPrice]:
    """The price of a judge that charges very little."""
    spec = JudgeSpec("cheap", "openai", price_input=1.0, price_output=2.0)
    with closing(Caches(tmp_path_factory.mktemp("caches"))) as caches:
        suite = build_suite(demo_config(), caches, lambda _: None)
        yield JudgingPrice(replace(suite, specs=(spec,)), batched=False)


def sized(folder: Path, price: JudgingPrice, asks: int) -> None:
    """One run that tells so many asks, each of 40 s."""
    folder.mkdir(exist_ok=True)
    storage = open_storage(sqlite_url(folder / "study.db"))
    found, times = search(questions=60), Times()
    sampler = BlockSampler(found, None)
    study = BlockStudy(storage, enter_study(storage, "s", {}, {}), found.space, sampler, window=1)
    before = read_study(sqlite_url(folder / "study.db"), "s").attrs.get(ASK_TIMES, ())
    clock = AskClock(lambda: times.merges, lambda: times.now, before)
    sizing = SizingStudy(study, price, clock, usd_per_hour=2.0, most=60, note=lambda _: None)
    for _ in range(asks):
        ask = sizing.ask()
        number = ask.stop - ask.start
        usd = study.trials[ask.trial].attrs.get(JUDGING_USD, 0.0) + 2e-6 * number
        study.tell(ask, Told((5.0,) * number, {JUDGING_USD: round(usd, 9)}))
        times.now += 40.0
        times.merges += 1
        sizing.measure(ask)
    study.close()


@pytest.mark.parametrize("runs", [(14, 16), (1, 12, 17)])
def test_a_paid_run_that_is_interrupted_chooses_as_another(
    runs: Sequence[int], price: JudgingPrice, tmp_path: Path
) -> None:
    sized(tmp_path / "whole", price, 30)
    for asks in runs:
        sized(tmp_path / "cut", price, asks)
    whole, cut = (read_study(sqlite_url(tmp_path / name / "study.db"), "s") for name in ("whole", "cut"))
    assert [trial.attrs for trial in cut.trials] == [trial.attrs for trial in whole.trials]
    assert sizes_of(cut.attrs) == sizes_of(whole.attrs)
    first, last = sizes_of(whole.attrs)
    assert first.size > 4
    assert not first.final
    assert last.final


def test_merges_are_counted_over_all_engines() -> None:
    trace = Trace()
    for track, name in (
        ("engine a", "merge"),
        ("engine a", "answer"),
        ("engine b", "merge"),
        ("judge", "merge"),
    ):
        with trace.span(track, name):
            pass
    assert merges_of(trace) == 2


def of_demo(folder: Path, trials: int) -> RunConfig:
    """The demo on questions of its kind, rated by rules."""
    bench = folder / "bench"
    write_jsonl(bench / "question.jsonl", map(question_row, fresh_questions(48, 6)))
    settings = (BENCHMARK.parent / "benchmark.toml").read_text(encoding="utf-8")
    (bench / "benchmark.toml").write_text(settings, encoding="utf-8")
    return demo_config(
        bench_name=str(bench),
        run_dir=str(folder / "run"),
        optuna_sampler="auto",
        trials_in_flight=2,
        n_trials=trials,
        holdout=0.25,
        confirm_candidates=1,
        max_new_tokens=8,
    )


def test_a_run_with_a_free_judge_measures_asks_and_tells_what_it_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Extended in other caches, where nothing is answered yet, and in its own, it makes the same table."""
    monkeypatch.setattr("tvmerge.study.blocks.size.SHORT", 0.0)  # the demo's candidates take less
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path / "cache"))
    said: list[str] = []
    config = of_demo(tmp_path, 6)
    with progress_of(config, tell=said.append) as progress:
        result = asyncio.run(optimize(config, progress))
    (line,) = [line for line in said if line.startswith("a candidate answers ")]
    assert "judging costs nothing, and a candidate takes" in line
    assert result.block == line
    assert line in str(read_status(sqlite_url(tmp_path / "run" / "study.db"), result.study))
    assert html.escape(line) in render_page(result)
    assert read_record(tmp_path / "run" / "result.json", ()).block == line
    assert 16 in {ask.stop - ask.start for trial in result.trials for ask in asks_of(trial)}
    shutil.copytree(tmp_path / "run", tmp_path / "other" / "run")
    longer = asyncio.run(optimize(of_demo(tmp_path, 7)))
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path / "empty"))
    again = asyncio.run(optimize(of_demo(tmp_path / "other", 7)))
    assert again.trials == longer.trials
    assert again.block == longer.block == line


def test_the_same_search_with_all_answers_stored_makes_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvmerge.study.blocks.size.SHORT", 100.0)  # on a machine that is busy too
    config = of_demo(tmp_path, 6)
    first = asyncio.run(optimize(config))
    again = asyncio.run(optimize(replace(config, run_dir=str(tmp_path / "again"))))
    assert again.trials == first.trials
    assert "a candidate takes less than" in first.block
    assert "no time was measured" in again.block
