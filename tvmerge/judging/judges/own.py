"""Wraps a judge object passed by a caller: checks and stores its ratings and limits its concurrency."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from tvmerge._util.as_float import as_float
from tvmerge._util.canonical import canonical_json, digest
from tvmerge._util.shown import shown
from tvmerge._util.single_flight import SingleFlight
from tvmerge._util.well_formed import well_formed_record
from tvmerge.errors import ConfigError
from tvmerge.judging.judges.pairwise import LOSS, WIN
from tvmerge.judging.settings import JudgeConfig
from tvmerge.protocols import ComparingJudge
from tvmerge.records import Answer, Judgment, Question, QuestionId, Rating, Unrated

if TYPE_CHECKING:
    from tvmerge._util.cache import ContentCache
    from tvmerge.protocols import Judge

SCHEMA = "own-judge-v1"

SCALE = (1.0, 10.0)
"""Lowest and highest rating of a judge without an attribute `scale`."""

_USED = (
    "bench_name",
    "judge",
    "judge_mode",
    "baseline",
    "turns",
    "reference",
    "min_japanese",
    "non_japanese_penalty",
    "parallel",
    "assets",
)
"""Judging settings that also apply to a caller's judge."""


class OwnJudge:
    """Implements `tvmerge.protocols.Judge` for a run, and stores ratings so that none is requested twice.

    The judge belongs to the caller, who closes it.

    Args:
        judge: The caller's judge.
        cache: Stores the ratings.
        parallel: Maximum number of answers rated at once.
        compares: Whether the judge compares answers with those that `with_baseline` sets.

    Raises:
        ConfigError: The judge has no name or no fingerprint, or it is to compare and cannot.
    """

    def __init__(
        self, judge: Judge, cache: ContentCache, *, parallel: int = 1, compares: bool = False
    ) -> None:
        check_judge(judge)
        self._judge = judge
        self._rater = judge
        self._cache = cache
        self._places = asyncio.Semaphore(parallel)
        self._flights: SingleFlight[Sequence[Judgment]] = SingleFlight()
        self._scale = scale_of(judge, compares=compares)
        self._compares = compares
        self._baseline: Mapping[QuestionId, Answer] = {}

    @property
    def name(self) -> str:
        """The judge's name."""
        return self._judge.name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """The judge's fingerprint, and the mode if it compares; the caller adds the baseline."""
        mode = {"mode": "pairwise"} if self._compares else {}
        return {**self._judge.fingerprint, **mode}

    def with_baseline(self, answers: Mapping[QuestionId, Answer]) -> OwnJudge:
        """Return a judge that compares with these answers; unchanged if it rates.

        Raises:
            ConfigError: The caller's judge does not return a judge.
        """
        if not self._compares:
            return self
        assert isinstance(self._judge, ComparingJudge), "scale_of checks it"
        other = copy(self)
        other._baseline = dict(answers)
        other._rater = self._judge.with_baseline(other._baseline)
        if not callable(getattr(other._rater, "judge", None)):
            raise ConfigError(
                f"with_baseline of the judge '{self.name}' must return a judge, "
                f"got {type(other._rater).__name__}"
            )
        return other

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Return the stored or new ratings of `answer`; a first cancellation waits for the judge to finish.

        Raises:
            ConfigError: The judge returned something that is not a judgment of this answer, or the baseline
                has no answer to the question.
        """
        if self._compares and question.question_id not in self._baseline:
            raise ConfigError(
                f"pairwise judging: the baseline has no answer to question {question.question_id}"
            )
        key = self._key(question, answer)
        stored = await self._look_up(key, question, answer)
        return stored or await self._flights.do(key, lambda: self._ask(key, question, answer))

    async def close(self) -> None:
        """Leave the judge open, since it belongs to the caller."""

    async def _look_up(self, key: str, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Return the stored ratings of `answer`; empty if there are none that are valid."""
        stored = _stored(await asyncio.to_thread(self._cache.get, key))
        return () if not stored or self._problem_with(stored, question, answer) else stored

    async def _ask(self, key: str, question: Question, answer: Answer) -> Sequence[Judgment]:
        async with self._places:
            # It may have been rated while this waited for its place.
            if stored := await self._look_up(key, question, answer):
                return stored
            work = asyncio.ensure_future(self._rated(key, question, answer))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await work
                raise

    async def _rated(self, key: str, question: Question, answer: Answer) -> Sequence[Judgment]:
        given = tuple(await self._rater.judge(question, answer))
        self._check(given, question, answer)
        found = tuple(map(well_formed_record, given))
        if found and all(isinstance(judgment, Rating) for judgment in found):
            rows = [asdict(judgment) for judgment in found]
            await asyncio.to_thread(self._cache.put_many, {key: rows})
        return found

    def _check(self, found: Sequence[object], question: Question, answer: Answer) -> None:
        """Raise if a judgment is invalid or a turn has none."""
        if problem := self._problem_with(found, question, answer):
            raise ConfigError(f"the judge '{self.name}' on question {question.question_id}: {problem}")

    def _problem_with(self, found: Sequence[object], question: Question, answer: Answer) -> str:
        """Return why a judgment is invalid or which turn has none; an empty string if all is well."""
        turns = set(range(1, len(answer.turns) + 1))
        for judgment in found:
            if problem := _problem(judgment, question, turns, self._scale):
                return problem
        said = {judgment.turn for judgment in found if isinstance(judgment, Rating | Unrated)}
        if turns - said:
            return (
                f"it returned nothing for turn {min(turns - said)}; return tvmerge.Unrated if there is no "
                "rating"
            )
        return ""

    def _key(self, question: Question, answer: Answer) -> str:
        # Ratings have no key `baseline`, so those of earlier releases are still found.
        baseline = {"baseline": _plain(self._baseline[question.question_id])} if self._compares else {}
        return digest(
            {
                "schema": SCHEMA,
                "judge": {"name": self.name, **self.fingerprint},
                "question": asdict(question),
                "answer": _plain(answer),
                **baseline,
            }
        )


def _plain(answer: Answer) -> dict[str, Any]:
    """Return what the answer is, as plain data; how many tokens it took is no part of it."""
    return {name: value for name, value in asdict(answer).items() if name != "tokens"}


def _stored(row: Any) -> list[Rating] | None:
    """Return the ratings in a row of the cache; None if it has none."""
    try:
        ratings = [Rating(**each) for each in row]
        return ratings if all(math.isfinite(rating.score) for rating in ratings) else None
    except TypeError:
        return None


class UnaskedJudge(OwnJudge):
    """Replaces a caller's judge in a dry run, without calling it."""

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Return no rating for any turn."""
        turns = range(1, len(answer.turns) + 1)
        return [Unrated(question.question_id, turn, self.name, "", "not asked: a plan") for turn in turns]

    def with_baseline(self, answers: Mapping[QuestionId, Answer]) -> UnaskedJudge:
        """Return the judge itself, which compares nothing."""
        return self


def _problem(judgment: object, question: Question, turns: set[int], scale: tuple[float, float]) -> str:
    """Return why an object is not a judgment of an answer with these turns, or an empty string."""
    if not isinstance(judgment, Rating | Unrated):
        return f"it must return tvmerge.Rating or tvmerge.Unrated, not {type(judgment).__name__}"
    if judgment.question_id != question.question_id or judgment.turn not in turns:
        return f"it rated turn {judgment.turn} of question {judgment.question_id}, which was not answered"
    low, high = scale
    if isinstance(judgment, Rating) and not low <= judgment.score <= high:
        return (
            f"{judgment.score:g} is not in [{low:g}, {high:g}]; return tvmerge.Unrated if there "
            "is none, or give the judge an attribute 'scale', its lowest and highest"
        )
    return ""


def check_judge(judge: Judge) -> None:
    """Check that a judge has a name and a fingerprint.

    Raises:
        ConfigError: It does not.
    """
    name, decides = getattr(judge, "name", None), getattr(judge, "fingerprint", None)
    if not callable(getattr(judge, "judge", None)):
        raise ConfigError(
            f"judge must be a name or a judge (tvmerge.protocols.Judge), got {type(judge).__qualname__}"
        )
    if not (isinstance(name, str) and name.strip()):
        raise ConfigError(
            f"the judge {type(judge).__qualname__} needs an attribute 'name' for files and reports"
        )
    if not isinstance(decides, Mapping) or not _is_plain(decides):
        raise ConfigError(
            f"the judge '{name}' needs an attribute 'fingerprint', a dict of plain JSON data with all that "
            "decides its ratings (its model and prompt at least): stored ratings are found by it"
        )


def check_settings(config: JudgeConfig) -> None:
    """Reject settings that have no effect on a caller's judge.

    Raises:
        ConfigError: Such a setting is not at its default, or there is no benchmark to rate.
    """
    if not config.bench_name:
        raise ConfigError("a judge is given, and no benchmark whose answers it could rate: give bench_name")
    for f in fields(JudgeConfig):
        if f.name not in _USED and getattr(config, f.name) != f.default:
            raise ConfigError(
                f"{f.name} is for judges that tvmerge asks, and this one is your own; leave it out"
            )


def scale_of(judge: Judge, *, compares: bool = False) -> tuple[float, float]:
    """Return the lowest and highest rating of a judge: its attribute `scale`, or 1 and 10.

    The score of a comparison is the win rate, in [0, 1], whatever the attribute says.

    Raises:
        ConfigError: The attribute is not two ascending numbers, or the judge is to compare and cannot.
    """
    if compares:
        if not isinstance(judge, ComparingJudge):
            raise ConfigError(
                f"judge_mode is pairwise, and the judge '{judge.name}' has no method 'with_baseline' "
                "(tvmerge.protocols.ComparingJudge): add one, or leave judge_mode out"
            )
        return LOSS, WIN
    given = getattr(judge, "scale", SCALE)
    try:
        low, high = map(as_float, given)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(
            f"the scale of the judge '{judge.name}' must be two rising numbers, got {shown(given)}"
        )
    return low, high


def _is_plain(data: Mapping[str, object]) -> bool:
    try:
        canonical_json(dict(data))
    except (TypeError, ValueError):
        return False
    return bool(data)


if TYPE_CHECKING:
    _judge: type[ComparingJudge] = OwnJudge
