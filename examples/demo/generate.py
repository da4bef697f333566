"""Questions for the demo models, from facts and a seed.

    python -m examples.demo.generate                          # writes benchmarks/demo/question.jsonl anew
    python -m examples.demo.generate --fresh 500 --seed 7     # prints 500 questions nobody has seen

The benchmark chats in Japanese, two turns a question, and wants short Japanese sentences.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from examples.demo.facts import Fact, asked_facts
from examples.demo.phrases import benchmark_phrasings, openings
from tvmerge._util.files import jsonl_line, write_jsonl
from tvmerge.records import Question, Split

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "demo" / "question.jsonl"
PER_CATEGORY = 30
SEED = 20240401

_Asked = tuple[str, Fact]


def benchmark_questions() -> list[Question]:
    """The committed benchmark: nothing is asked twice alike, half of each category is held out."""
    rng = random.Random(SEED)
    questions: list[Question] = []
    for askable in _askable_by_category():
        drawn = _apart(rng, askable)
        for i in range(PER_CATEGORY):
            split: Split = "search" if i % 2 == 0 else "holdout"
            questions.append(_question(rng, len(questions) + 1, (next(drawn), next(drawn)), split))
    return questions


def fresh_questions(count: int, seed: int) -> Iterator[Question]:
    """`count` distinct questions in the benchmark's manner, worded as neither it nor a training text is.

    Categories take turns. Deterministic in `seed`.

    Raises:
        ValueError: More questions are asked for than there are.
    """
    rng = random.Random(seed)
    used = [text for question in benchmark_questions() for text in question.turns]
    pools = [
        [asked for asked in askable if not any(text.endswith(asked[0]) for text in used)]
        for askable in _askable_by_category()
    ]
    limit = len(pools) * min(len(pool) * (len(pool) - 1) for pool in pools)
    if count > limit:
        raise ValueError(f"there are only {limit} fresh questions, not {count}")
    seen: set[tuple[str, ...]] = set()
    while len(seen) < count:
        pair = rng.sample(pools[len(seen) % len(pools)], 2)
        question = _question(rng, f"fresh-{seed}-{len(seen) + 1}", (pair[0], pair[1]), None)
        if question.turns not in seen:
            seen.add(question.turns)
            yield question


def question_row(question: Question) -> dict[str, object]:
    """A question as a line of FastChat's question.jsonl."""
    row: dict[str, object] = {
        "question_id": question.question_id,
        "category": question.category,
        "turns": list(question.turns),
        "reference": list(question.reference),
    }
    return row if question.split is None else {**row, "split": question.split}


def _askable_by_category() -> list[list[_Asked]]:
    groups: dict[str, list[_Asked]] = {}
    for fact in asked_facts():
        asked = [(text, fact) for text in benchmark_phrasings(fact)]
        groups.setdefault(fact.category, []).extend(asked)
    return list(groups.values())


def _apart(rng: random.Random, askable: Sequence[_Asked]) -> Iterator[_Asked]:
    # Not 2の次の数は？ where 12の次の数は？ was taken: no text may lie within another.
    taken: list[str] = []
    for text, fact in rng.sample(askable, len(askable)):
        if not any(text in other or other in text for other in taken):
            taken.append(text)
            yield text, fact


def _question(
    rng: random.Random, identity: int | str, asked: tuple[_Asked, _Asked], split: Split | None
) -> Question:
    (one, fact), (two, other) = asked
    turns = (rng.choice(openings(1)) + one, rng.choice(openings(2)) + two)
    reference = (fact.answer, other.answer)
    return Question(identity, fact.category, turns, reference, needs_reference=True, split=split)


def main() -> None:
    """Parse the command line; write the benchmark or print fresh questions."""
    parser = argparse.ArgumentParser(description="Write the demo benchmark, or print fresh questions.")
    parser.add_argument("--fresh", type=int, metavar="N", help="print N questions that nobody has seen")
    parser.add_argument("--seed", type=int, default=0, help="seed of the fresh questions")
    parser.add_argument("--output", type=Path, default=BENCHMARK, help="where the benchmark goes")
    arguments = parser.parse_args()
    if arguments.fresh is None:
        write_jsonl(arguments.output, map(question_row, benchmark_questions()))
        return
    for question in fresh_questions(arguments.fresh, arguments.seed):
        print(jsonl_line(question_row(question)), end="")


if __name__ == "__main__":
    main()
