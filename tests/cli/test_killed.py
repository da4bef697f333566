"""kill -9 in the middle of a study: it ends as if nothing had happened. The campaign is perf/resume.py.

Several modules: a whole run.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.killing import PARALLEL, Ended, Kill, Setting, play, write_benchmark

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")

SETTINGS = {sampler: Setting(sampler, window=4, trials=16, questions=24) for sampler in ("TPE", "CMA-ES")}
KILLS = (Kill(20, 0.0, held=False), Kill(90, 0.05, held=True))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmark(tmp_path_factory.mktemp("killed") / "bench", SETTINGS["TPE"])


@pytest.fixture(scope="module")
def whole(bench: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ended]:
    """The studies as they end when nobody kills them."""
    folder = tmp_path_factory.mktemp("whole")
    return {name: play(folder / name, bench, setting) for name, setting in SETTINGS.items()}


@pytest.mark.parametrize("sampler", ["TPE", "CMA-ES"])
def test_a_study_killed_in_mid_trial_and_with_paid_calls_in_flight_ends_with_the_same_table(
    sampler: str, whole: Mapping[str, Ended], bench: Path, tmp_path: Path
) -> None:
    ended = play(tmp_path / "cut", bench, SETTINGS[sampler], KILLS)
    early, late = ended.hits
    assert early.told < late.told < SETTINGS[sampler].trials
    assert late.in_flight > 0
    assert ended.stopped >= 0.2
    assert ended.table == whole[sampler].table
    assert ended.asked_again <= PARALLEL * len(KILLS)


def test_random_delays_in_engine_and_judge_do_not_change_the_table(
    whole: Mapping[str, Ended], bench: Path, tmp_path: Path
) -> None:
    assert play(tmp_path / "slow", bench, SETTINGS["TPE"], delays=3).table == whole["TPE"].table
