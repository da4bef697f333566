r"""Compares searches on problems that are unlike the demo's, with the demo's models.

    python -m perf.economy.special useless --samplers auto TPE --seeds 20 --budget 1000 --out useless.jsonl

* `useless`: three categories of questions, and the ratings of one are chance. The truth is of the others.
* `plateau`: a rating of 7 or more counts as 7, so most good candidates are alike.
* `border`: weights from 0 to 0.6 only, with the best ones beyond.
* `cliff`: a rating below 9 counts as 1.
* `chance`: all ratings are chance. The truth is what the rules say: a search can only win by luck.

Options, file and tables are those of `python -m perf.economy`. Use a file for each problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from examples.demo.generate import fresh_questions
from perf.economy.noise import Change, ChangedJudge, by_chance, chance
from perf.economy.program import measure, parser
from perf.economy.subject import Questions, Subject, demo
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Question, Rating

CATEGORIES = ("addition", "capitals", "opposites")
"""Three of the demo's eight; the last is useless."""


def main(argv: Sequence[str] | None = None) -> None:
    """Search what is missing in the file, and print the tables."""
    options = parser("python -m perf.economy.special", __doc__)
    options.add_argument("problem", choices=SPECIAL)
    args = options.parse_args(argv)
    measure(args, SPECIAL[args.problem])


def _useless(question: Question, answer: Answer, rating: Rating) -> float:
    return chance(0, answer, rating) if question.category == CATEGORIES[-1] else rating.score


def _plateau(question: Question, answer: Answer, rating: Rating) -> float:
    return min(rating.score, 7.0)


def _cliff(question: Question, answer: Answer, rating: Rating) -> float:
    return rating.score if rating.score >= 9 else 1.0


def _of(categories: Sequence[str]) -> Questions:
    """Return what draws questions of these categories."""

    def questions(count: int, seed: int) -> Iterator[Question]:
        # The demo's eight categories take turns.
        every = fresh_questions(-(-8 * count // len(categories)), seed)
        return islice((one for one in every if one.category in categories), count)

    return questions


def _changed(change: Change, what: str) -> Callable[[Judge], Judge]:
    return lambda judge: ChangedJudge(judge, change, what)


def _special() -> Mapping[str, Subject]:
    usual = demo()
    plateau, cliff = _changed(_plateau, "plateau"), _changed(_cliff, "cliff")
    found = (
        replace(
            usual,
            name="useless",
            questions=_of(CATEGORIES),
            fresh=_of(CATEGORIES[:-1]),
            searched=_changed(_useless, "useless"),
        ),
        replace(usual, name="plateau", searched=plateau, true=plateau),
        replace(usual, name="border", settings={**usual.settings, "weight_max": 0.6}),
        replace(usual, name="cliff", searched=cliff, true=cliff),
        replace(usual, name="chance", searched=partial(by_chance, seed=0)),
    )
    return {one.name: one for one in found}


SPECIAL = _special()
"""The problems, by their names."""


if __name__ == "__main__":
    main()
