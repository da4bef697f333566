"""What a search by blocks asks first: the enqueued candidates, uniform weights, and what a fork was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tvmerge.records import Recipe
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.blocks.search import BlockSearch, Choice, blocks_of, first_run
from tvmerge.study.sampler_view import ENQUEUED, INHERITED
from tvmerge.study.space import Space, is_density
from tvmerge.study.warm_start import InitialTrials

LINE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
"""Uniform weights that are asked first, where they are in the range: they show where to search."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where in their ranges weights are instead if no weight of `LINE` is in the range of all."""

REPEATS = 2
"""Blocks that each of the enqueued candidates answers; the same for all, so that their scores pair up."""

Given = Sequence[tuple[Recipe, Mapping[str, Any]]]
"""Recipes, each with what is recorded with its trial."""


def first_asks(search: BlockSearch, block: int) -> tuple[list[Choice], Given]:
    """What is asked first, in order, and the recipes of it.

    Args:
        search: What is searched.
        block: How many questions a candidate answers at a time.
    """
    space, initial, questions = search.space, search.initial, search.questions
    scale = Scale(space)
    line = _line(space)
    distinct: dict[bytes, Recipe] = {}
    for recipe in (*initial.enqueued, *line):
        distinct.setdefault(scale.row(recipe).tobytes(), recipe)
    enqueued = list(distinct.values())
    choices = [
        Choice(scale.row(recipe), part.start, part.stop)
        for part in blocks_of(questions, block)[:REPEATS]
        for recipe in enqueued
    ]
    numbers = _numbers(scale, initial)
    rows = {
        number: scale.row(recipe) for number, recipe in (*initial.again.items(), *initial.inherited.items())
    }
    choices += [
        Choice(rows[number], start, stop)
        for number, start, stop in initial.asks
        if number in rows and numbers[rows[number].tobytes()] == number
    ]
    given: list[tuple[Recipe, Mapping[str, Any]]] = [
        (recipe, {ENQUEUED: True, **({INHERITED: numbers[key]} if key in numbers else {})})
        for key, recipe in distinct.items()
    ]
    given += [
        (recipe, {INHERITED: number})
        for number, recipe in initial.inherited.items()
        if (key := rows[number].tobytes()) not in distinct and numbers[key] == number
    ]
    return list(_without_repeats(list(_within(choices, questions)))), given


def _line(space: Space) -> list[Recipe]:
    """The recipes of `LINE`; weights that have a single value keep it.

    Where the ranges have none of these weights in common, all weights are at the same share of their range.
    """
    import numpy as np

    bounds = {name: space.bounds(name) for name in space.names}
    fixed = {name: low for name, (low, high) in bounds.items() if low == high}
    free = [between for name, between in bounds.items() if name not in fixed and not is_density(name)]
    held = [weight for weight in LINE if all(low <= weight <= high for low, high in free)]
    if held:
        return [Recipe({**space.uniform(weight).weights, **fixed}) for weight in held]
    scale = Scale(space)
    return [
        scale.recipe(np.array([2.0 if is_density(name) else 2 * share for name in scale.names]))
        for share in SHARES
    ]


def _within(choices: Sequence[Choice], questions: int) -> Iterator[Choice]:
    """Move what lies beyond the last question to places that the candidate is not asked, if there are any."""
    asked: dict[bytes, set[int]] = {}
    for choice in choices:
        asked.setdefault(choice.weights.tobytes(), set()).update(range(choice.start, choice.stop))
    for choice in choices:
        had = asked[choice.weights.tobytes()]
        beyond = max(choice.start, questions)
        yield replace(choice, stop=min(choice.stop, questions))
        left = choice.stop - beyond
        while left > 0 and (
            run := first_run(range(beyond % questions, questions), had) or first_run(range(questions), had)
        ):
            run = run[:left]
            yield replace(choice, start=run.start, stop=run.stop)
            had.update(run)
            left -= len(run)


def _numbers(scale: Scale, initial: InitialTrials) -> dict[bytes, int]:
    """The number in the forked study of each candidate, by its weights; the first where it has several.

    A study records one number of a candidate, so a resumed run could not tell what was asked of another.
    """
    numbers: dict[bytes, int] = {}
    for number, recipe in (*initial.again.items(), *initial.inherited.items()):
        numbers.setdefault(scale.row(recipe).tobytes(), number)
    return numbers


def _without_repeats(choices: Sequence[Choice]) -> Iterator[Choice]:
    """Leave out the questions that the candidate was asked before, and asks of which nothing is left."""
    asked: dict[bytes, set[int]] = {}
    for choice in choices:
        had = asked.setdefault(choice.weights.tobytes(), set())
        left = range(choice.start, choice.stop)
        while run := first_run(left, had):
            yield replace(choice, start=run.start, stop=run.stop)
            left = range(run.stop, left.stop)
        had.update(range(choice.start, choice.stop))
