"""What is asked first."""

from __future__ import annotations

import pytest

from tests.study.blocks.searches import ENQUEUED, SPACE, search
from tvmerge.records import Recipe
from tvmerge.study.blocks.initial import LINE, first_asks
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.space import Space
from tvmerge.study.warm_start import InitialTrials

OWN = Recipe({"embeddings": 0.25, "layers.0": 1.5, "layers.1": 1.0, "norm": 0.125})
OTHER = Recipe({"embeddings": 0.5, "layers.0": 1.5, "layers.1": 1.0, "norm": 0.125})


def asked(initial: InitialTrials, questions: int = 22, block: int = 4) -> list[tuple[Recipe, int, int]]:
    choices, _ = first_asks(search(questions=questions, initial=initial), block)
    scale = Scale(SPACE)
    return [(scale.recipe(c.weights), c.start, c.stop) for c in choices]


def test_enqueued_and_uniform_weights_answer_two_blocks_each() -> None:
    found = asked(InitialTrials((*ENQUEUED, OWN)))
    recipes = [recipe for recipe, start, _ in found if start == 0]
    assert recipes == [*ENQUEUED, OWN, *(SPACE.uniform(w) for w in (0.25, 0.5, 0.75, 1.25, 1.5))]
    assert found[8:] == [(recipe, 4, 8) for recipe in recipes]


def test_what_a_fork_inherits_is_asked_what_it_was_asked() -> None:
    initial = InitialTrials(ENQUEUED, {9: OWN, 7: OTHER}, ((9, 8, 12), (7, 0, 40), (9, 12, 16)))
    assert asked(initial)[14:] == [(OWN, 8, 12), (OTHER, 0, 22), (OWN, 12, 16)]
    _, given = first_asks(search(initial=initial), 4)
    assert [(recipe, attrs["inherited"]) for recipe, attrs in given[7:]] == [(OWN, 9), (OTHER, 7)]


def test_what_the_forked_study_asked_of_weights_tried_anyway_is_asked_too() -> None:
    initial = InitialTrials(
        ENQUEUED, {9: OWN}, ((1, 0, 4), (1, 8, 12), (9, 8, 12), (2, 0, 30)), {1: ENQUEUED[1], 2: ENQUEUED[0]}
    )
    assert asked(initial)[14:] == [(ENQUEUED[1], 8, 12), (OWN, 8, 12), (ENQUEUED[0], 8, 22)]
    _, given = first_asks(search(initial=initial), 4)
    assert [attrs for _, attrs in given[:2]] == [
        {"fixed": True, "inherited": 2},
        {"fixed": True, "inherited": 1},
    ]


def test_of_weights_that_a_fork_tried_twice_the_first_trial_counts() -> None:
    initial = InitialTrials(ENQUEUED, {4: OWN, 5: OWN}, ((5, 8, 12), (4, 0, 8)))
    assert asked(initial)[14:] == [(OWN, 0, 8)]
    _, given = first_asks(search(initial=initial), 4)
    assert [attrs["inherited"] for recipe, attrs in given if recipe == OWN] == [4]


def test_nobody_is_asked_a_question_twice_or_nothing() -> None:
    half = SPACE.uniform(0.5)  # inherited, and one of the uniform weights
    initial = InitialTrials(
        ENQUEUED,
        {3: half, 4: OWN, 5: OWN, 6: OTHER},
        ((3, 0, 4), (3, 8, 12), (4, 0, 8), (5, 4, 8), (6, 0, 0)),
    )
    assert asked(initial)[14:] == [(half, 8, 12), (OWN, 0, 8)]


@pytest.mark.parametrize("questions", [3, 8, 14, 22, 40])
def test_a_fork_with_fewer_questions_keeps_every_candidate_and_as_many_answers_as_there_are_questions(
    questions: int,
) -> None:
    asks = ((9, 8, 12), (7, 20, 24), (9, 30, 34), (7, 28, 32), (1, 36, 40), (9, 12, 16))
    initial = InitialTrials(ENQUEUED, {9: OWN, 7: OTHER}, asks, {1: ENQUEUED[1]})
    found = asked(initial, questions)
    for recipe, answers in ((OWN, 12), (OTHER, 8), (ENQUEUED[1], 12)):
        places = [place for other, start, stop in found if other == recipe for place in range(start, stop)]
        assert len(places) == len(set(places)) == min(answers, questions)
        assert set(places) <= set(range(questions))


def test_a_block_beyond_the_last_question_is_asked_as_a_whole_where_there_is_room() -> None:
    initial = InitialTrials(ENQUEUED, {9: OWN, 7: OTHER}, ((9, 0, 4), (9, 24, 28), (7, 20, 24)))
    assert asked(initial)[14:] == [(OWN, 0, 4), (OWN, 4, 8), (OTHER, 20, 22), (OTHER, 0, 2)]


FIXED = {"embeddings": (0.75, 0.75)}
DISJOINT = {"embeddings": (0.0, 0.2), "norm": (0.6, 1.0)}


def given_in(ranges: dict[str, tuple[float, float]]) -> list[tuple[float, ...]]:
    """The weights that are asked first where some have ranges of their own."""
    space = Space(SPACE.names, 0.0, 2.0, ranges)
    choices, given = first_asks(BlockSearch(space, InitialTrials(()), 22, 9.0, 7), 4)
    scale = Scale(space)
    rows = [scale.row(recipe).tobytes() for recipe, _ in given]
    assert [choice.weights.tobytes() for choice in choices] == 2 * rows
    for recipe, _ in given:
        assert scale.recipe(scale.row(recipe)) == recipe
        assert all(low <= recipe.weights[name] <= high for name, (low, high) in ranges.items())
    return [tuple(recipe.weights.values()) for recipe, _ in given]


def test_a_weight_with_a_single_value_keeps_it_and_the_others_are_uniform() -> None:
    assert given_in(FIXED) == [(0.75, w, w, w) for w in LINE]
    assert given_in(FIXED | {"norm": (-1.0, -1.0)}) == [(0.75, w, w, -1.0) for w in LINE]
    assert given_in(FIXED | {"norm": (0.5, 1.0)}) == [(0.75, w, w, w) for w in (0.5, 0.75, 1.0)]


def test_weights_whose_ranges_have_none_of_the_line_in_common_are_at_the_same_share_of_them() -> None:
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    wanted = [(0.2 * s, 2 * s, 2 * s, 0.6 + 0.4 * s) for s in shares]
    assert [pytest.approx(weights) for weights in wanted] == given_in(DISJOINT)


def test_densities_are_the_largest_wherever_the_weights_are() -> None:
    names = ("a", "b", "a/density")
    for bounds in ({"a": (0.8, 0.8)}, {"a": (0.0, 0.2), "b": (0.6, 0.9)}, {"a": (0.8, 0.8), "b": (0.3, 0.3)}):
        space = Space(names, 0.0, 2.0, {**bounds, "a/density": (0.1, 0.9)})
        choices, given = first_asks(BlockSearch(space, InitialTrials(()), 22, 9.0, 7), 4)
        assert choices
        assert {recipe.weights["a/density"] for recipe, _ in given} == {0.9}


def test_a_benchmark_of_one_block_is_asked_once() -> None:
    assert [(start, stop) for _, start, stop in asked(InitialTrials(ENQUEUED), 3)] == [(0, 3)] * 7
