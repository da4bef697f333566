"""What is asked first."""

from __future__ import annotations

from tests.study.blocks.searches import ENQUEUED, SPACE, search
from tvmerge.records import Recipe
from tvmerge.study.blocks.initial import first_asks
from tvmerge.study.blocks.scale import Scale
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


def test_a_benchmark_of_one_block_is_asked_once() -> None:
    assert [(start, stop) for _, start, stop in asked(InitialTrials(ENQUEUED), 3)] == [(0, 3)] * 7
