"""How many questions a candidate answers at a time: a function of prices, times and variances."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tvmerge.study.blocks.size import ASSUMED, PROBE, SIZES, BlockSize, Costs, choose_size

HOUR = 2.0
PROBED = [BlockSize(14, PROBE, False, "their time is measured")]


def chosen(
    usd: float | None,
    seconds: Mapping[int, float],
    *,
    ratio: float = 1.0,
    most: int = 120,
    made: list[BlockSize] | None = None,
    priced: bool = True,
) -> BlockSize:
    return choose_size(Costs(usd, seconds, HOUR, priced), ratio, most, made or [], 14)


@pytest.mark.parametrize("usd", [0.006, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("seconds", [0.2, 5.0, 60.0])
def test_cents_for_a_call_keep_the_block_at_four(usd: float, seconds: float) -> None:
    found = chosen(usd, {4: seconds})
    assert (found.size, found.final) == (4, True)
    assert str(found).startswith("a candidate answers 4 questions at a time: judging an answer costs ")


@pytest.mark.parametrize("seconds", [{}, {4: 20.0}, {4: 20.0, 16: 21.0}])
def test_a_price_that_is_not_known_counts_as_high(seconds: Mapping[int, float]) -> None:
    found = chosen(None, seconds, priced=False)
    assert (found.size, found.final) == (4, True)
    assert "what judging costs is not known" in str(found)


@pytest.mark.parametrize(
    ("usd", "seconds", "why"),
    [
        (None, {}, "what judging costs was not measured"),
        (None, {4: 40.0}, "what judging costs was not measured"),
        (2e-6, {}, "judging an answer costs 2e-06 USD, and no time was measured"),
    ],
)
def test_what_was_not_measured_yet_is_measured_before_a_size_stays(
    usd: float | None, seconds: Mapping[int, float], why: str
) -> None:
    first = chosen(usd, seconds)
    assert (first.size, first.final) == (ASSUMED, False)
    measured = chosen(2e-6, {4: 40.0}, made=[first])
    assert (measured.size, measured.final) == (PROBE, False)
    second = chosen(usd, seconds, made=[first])
    assert (second.size, second.final) == (ASSUMED, False)
    last = chosen(usd, seconds, made=[first, second])
    assert (last.size, last.final, last.why) == (ASSUMED, True, why)
    assert chosen(usd, seconds, most=7).final, "no other size is possible"


def test_where_judging_is_free_asks_of_another_size_are_measured_first() -> None:
    found = chosen(0.0, {4: 3.0})
    assert (found.size, found.final, found.start) == (PROBE, False, 14)


def test_where_candidates_take_no_time_to_speak_of_nothing_is_measured() -> None:
    found = chosen(0.0, {4: 1.9})
    assert (found.size, found.final) == (ASSUMED, True)
    assert found.why == "judging costs nothing, and a candidate takes less than 2 s"


@pytest.mark.parametrize(
    ("fixed", "each", "ratio", "size"),
    [
        (8.0, 0.5, 1.0, 4),
        (8.0, 0.5, 4.0, 8),
        (2.2, 0.0036, 0.08, 8),
        (30.0, 0.1, 1.0, 16),
        (64.0, 0.01, 1.0, 64),
    ],
)
def test_where_judging_is_free_the_time_decides(fixed: float, each: float, ratio: float, size: int) -> None:
    seconds = {4: fixed + 4 * each, 16: fixed + 16 * each}
    found = chosen(0.0, seconds, ratio=ratio, made=PROBED)
    assert (found.size, found.final) == (size, True)
    assert "judging costs nothing, and a candidate takes" in found.why
    assert "USD" not in found.why


@pytest.mark.parametrize(("most", "size"), [(256, 256), (120, 64), (46, 32), (11, 8), (4, 4), (3, 4)])
def test_where_answers_take_no_time_of_their_own_a_block_fills_the_batch(most: int, size: int) -> None:
    assert chosen(0.0, {4: 3.0, 16: 2.9}, most=most, made=PROBED).size == size


def test_a_cheap_judge_and_dear_devices_make_blocks_larger() -> None:
    slow = {4: 40.0, 16: 41.0}
    assert not chosen(0.0005, {4: 40.0}).final
    sizes = [chosen(usd, slow, made=PROBED).size for usd in (0.5, 0.0005, 0.0001, 0.00001)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 4 < sizes[1] < sizes[-1]
    assert "of devices at 2 USD an hour" in chosen(0.0005, slow, made=PROBED).why
    cheaper = choose_size(Costs(0.0005, slow, HOUR / 10), 1.0, 120, PROBED, 20)
    assert cheaper.size < sizes[1]


def test_the_more_ratings_vary_within_a_candidate_the_larger_a_block() -> None:
    seconds = {4: 2.4, 16: 3.6}
    sizes = [chosen(0.0, seconds, ratio=r, made=PROBED).size for r in (0.05, 3.0, 50.0, 5000.0)]
    assert sizes == sorted(set(sizes))


def test_without_any_time_blocks_stay_as_they_are_and_then_it_says_what_was_assumed() -> None:
    first = chosen(0.0, {})
    second = chosen(0.0, {}, made=[first])
    assert (first.size, first.final) == (ASSUMED, False)
    assert (second.size, second.final) == (ASSUMED, False)
    last = chosen(0.0, {}, made=[first, second])
    assert (last.size, last.final) == (ASSUMED, True)
    assert "judging costs nothing, but no time was measured, so this was assumed" in str(last)


def test_a_size_whose_time_was_lost_is_measured_again() -> None:
    found = chosen(0.0, {16: 3.0}, made=PROBED)
    assert (found.size, found.final) == (4, False)
    only = chosen(0.0, {16: 3.0}, made=[*PROBED, found])
    assert (only.size, only.final) == (ASSUMED, True)
    assert "the time of an answer by itself was not measured" in only.why


def test_few_questions_need_no_measurement() -> None:
    found = chosen(0.0, {4: 3.0}, most=7)
    assert (found.size, found.final) == (4, True)
    assert "there are no more questions" in found.why


def test_a_size_is_one_of_a_few() -> None:
    for ratio in (0.01, 0.1, 1.0, 10.0, 1000.0):
        for each in (0.0, 1e-4, 0.01, 1.0):
            size = chosen(0.0, {4: 2 + 4 * each, 16: 2 + 16 * each}, ratio=ratio, most=500, made=PROBED).size
            assert size in SIZES
