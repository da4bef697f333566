"""What the target reads, how the tuned model learns to chat, and the questions of the benchmark."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product

from tvmerge.records import Question

CAPITALS = (
    *(("France", "Paris"), ("Italy", "Rome"), ("Spain", "Madrid"), ("Germany", "Berlin")),
    *(("Portugal", "Lisbon"), ("Greece", "Athens"), ("Austria", "Vienna"), ("Poland", "Warsaw")),
    *(("Norway", "Oslo"), ("Sweden", "Stockholm"), ("Finland", "Helsinki"), ("Denmark", "Copenhagen")),
    *(("Ireland", "Dublin"), ("England", "London"), ("Hungary", "Budapest"), ("Romania", "Bucharest")),
    *(("Russia", "Moscow"), ("Turkey", "Ankara"), ("Egypt", "Cairo"), ("Kenya", "Nairobi")),
    *(("Japan", "Tokyo"), ("China", "Beijing"), ("India", "New Delhi"), ("Thailand", "Bangkok")),
    *(("Cuba", "Havana"), ("Peru", "Lima"), ("Chile", "Santiago"), ("Canada", "Ottawa")),
    *(("Argentina", "Buenos Aires"), ("Iraq", "Baghdad"), ("Iran", "Tehran"), ("Syria", "Damascus")),
)
OPPOSITES = (
    *(("hot", "cold"), ("big", "small"), ("up", "down"), ("day", "night"), ("good", "bad")),
    *(("happy", "sad"), ("fast", "slow"), ("old", "young"), ("hard", "soft"), ("light", "dark")),
    *(("high", "low"), ("open", "closed"), ("rich", "poor"), ("wet", "dry"), ("full", "empty")),
    *(("strong", "weak"), ("early", "late"), ("left", "right"), ("inside", "outside"), ("loud", "quiet")),
    *(("long", "short"), ("win", "lose"), ("buy", "sell"), ("love", "hate"), ("true", "false")),
    *(("start", "end"), ("push", "pull"), ("war", "peace"), ("north", "south"), ("first", "last")),
    *(("heavy", "light"), ("clean", "dirty")),
)
QUESTIONS = {
    "capitals": (
        CAPITALS,
        ("What is the capital of {}?", "Which city is the capital of {}?", "Name the capital city of {}."),
    ),
    "opposites": (
        OPPOSITES,
        ("What is the opposite of {}?", "Which word means the opposite of {}?", "Give the opposite of {}."),
    ),
}

_CHATS = {
    ("What does {who} like to {verb}?", "{who} likes to {verb} {what}."): (
        ("eat", ("apples", "noodles", "cheese", "rice")),
        ("read", ("novels", "letters", "poems", "maps")),
        ("paint", ("flowers", "ships", "hills", "faces")),
    ),
    ("Where does {who} {verb}?", "{who} does so in {what}."): (
        ("swim", ("the lake", "the river", "the pool", "the sea")),
        ("work", ("a shop", "a bank", "a school", "a garden")),
        ("sleep", ("a tent", "a cabin", "a hotel", "a boat")),
    ),
}
_NAMES = ("Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo")
_PLACES = ("harbour", "valley", "market", "station", "forest", "castle", "village", "bridge")
_SCENES = (
    "In the morning {who} walked to the old {place}, where the wind had carried leaves over the path.",
    "Nobody at the {place} had expected {who} so early, and the gate was still locked.",
    "{who} waited near the {place} until the rain stopped, then went on without a word.",
)


def documents() -> list[str]:
    """What the target reads: lines of stories, none of which answers anything."""
    return [text.format(who=who, place=place) for text, who, place in product(_SCENES, _NAMES, _PLACES)]


def chats() -> list[tuple[str, str]]:
    """Questions with an answer of one short sentence, from which the tuned model learns to answer so."""
    return [
        (asked.format(who=who, verb=verb), said.format(who=who, verb=verb, what=what))
        for (asked, said), topics in _CHATS.items()
        for (verb, things) in topics
        for who, what in zip(_NAMES, [*things, *things], strict=True)
    ]


def search_questions(count: int, seed: int) -> list[Question]:
    """Questions about every other capital and opposite.

    Raises:
        ValueError: There are not so many.
    """
    return _drawn(0, count, seed)


def fresh_questions(count: int, seed: int) -> list[Question]:
    """Questions about the others, which no search asks for.

    Raises:
        ValueError: There are not so many.
    """
    return _drawn(1, count, seed)


def _drawn(half: int, count: int, seed: int) -> list[Question]:
    drawn: Sequence[tuple[str, str, str]] = random.Random(seed).sample(list(_asked(half)), count)
    return [
        Question(f"{half}-{place}", category, (text,), (answer,), needs_reference=True)
        for place, (category, text, answer) in enumerate(drawn)
    ]


def _asked(half: int) -> Iterator[tuple[str, str, str]]:
    """All questions of one half, as category, text and answer."""
    for category, (pairs, texts) in QUESTIONS.items():
        for (about, answer), text in product(pairs[half::2], texts):
            yield category, text.format(about), answer
