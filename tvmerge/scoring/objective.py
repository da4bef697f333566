"""The objective of a search: the score on one benchmark, or a weighted mean over several.

A single benchmark keeps its scale (1 to 10 for the judge prompts of tvmerge). Several are first scaled to
0..1, to be comparable, and then weighted:

    score = sum_b w_b * (mean_b - floor_b) / (ceiling_b - floor_b),  sum_b w_b = 1
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tvmerge._util.evidence import FEWEST_QUESTIONS
from tvmerge.errors import ConfigError
from tvmerge.records import Difference, Estimate, Judgment, Question, QuestionId, Rating
from tvmerge.scoring.intervals import RESAMPLES, Aggregate, Stratum, weighted_interval
from tvmerge.scoring.order import balanced_order
from tvmerge.scoring.split import Halves, halve, split
from tvmerge.scoring.statistics import estimate, ratings_by_question, shortfall

FEWEST_OF_A_PART = 2
"""The fewest questions of each of several benchmarks in a comparison, so that it has an interval."""

UNEVEN = 3.0
"""Factor between the weights of single questions of two parts from which blocks compare one badly."""


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark of an objective.

    Attributes:
        name: The benchmark's name.
        questions: Ids of its questions.
        weight: Its weight; only ratios matter.
        floor: The lowest rating.
        ceiling: The highest rating.
        aggregate: Returns the score of the judgments of all questions, if it is not their mean.
        resamples: Number of bootstrap resamples for an interval; fewer if `aggregate` is slow.
    """

    name: str
    questions: frozenset[QuestionId]
    weight: float = 1.0
    floor: float = 1.0
    ceiling: float = 10.0
    aggregate: Aggregate | None = None
    resamples: int = RESAMPLES

    @property
    def span(self) -> float:
        """The difference between the highest and the lowest rating."""
        return self.ceiling - self.floor

    def estimate(self, judgments: Sequence[Judgment]) -> Estimate:
        """Return the score; its standard error is known only if it is a mean."""
        if self.aggregate is None:
            return estimate(judgments)
        return Estimate(self.aggregate(judgments), math.nan, len(ratings_by_question(judgments)))


@dataclass(frozen=True)
class Objective:
    """Computes the scores of candidates, over all parts or for each.

    Attributes:
        parts: The benchmarks; no question is in two of them.
    """

    parts: tuple[Part, ...]

    @property
    def by_question(self) -> bool:
        """Whether the score can be estimated from some of the questions, so that candidates can race."""
        return all(part.aggregate is None for part in self.parts)

    def divide(self, questions: Sequence[Question], holdout: float | None, seed: int) -> Halves:
        """Return the search questions, in the order they are asked, and the held-out questions.

        Args:
            questions: All questions; those of each part are divided separately.
            holdout: Fraction to hold out; see `split`.
            seed: Seed of the draw and of the order.
        """
        halves = [
            split(
                [question for question in questions if question.question_id in part.questions], holdout, seed
            )
            for part in self.parts
        ]
        search = [question for half, _ in halves for question in half]
        held_out = tuple(question for _, half in halves for question in half)
        return balanced_order(search, seed, lambda question: question.category), held_out

    def all_parts_within(self, questions: Sequence[Question]) -> int:
        """Return after how many of the questions each part that is asked at all was asked at least one."""
        first: dict[int, int] = {}
        for place, question in enumerate(questions, start=1):
            first.setdefault(self._part_of[question.question_id], place)
        return max(first.values(), default=0)

    def check_holdout(self, holdout: Sequence[Question]) -> None:
        """Raise if one of several benchmarks has too few held-out questions for the comparison.

        The confidence interval needs two questions of each benchmark. A single benchmark may have fewer,
        since no other benchmark's questions would be wasted.

        Args:
            holdout: The held-out questions.

        Raises:
            ConfigError: One has too few held-out questions, but not none.
        """
        if not holdout or len(self.parts) == 1:
            return
        for part in self.parts:
            held = sum(question.question_id in part.questions for question in holdout)
            if held < FEWEST_OF_A_PART:
                raise ConfigError(
                    f"too few questions of {part.name} are held out to confirm the best of the search: "
                    f"{held}; hold out more (--holdout), or nothing (--holdout 0)"
                )

    def estimate(self, judgments: Iterable[Judgment]) -> Estimate:
        """Return the score of a candidate and its standard error; nan where a part has no rating."""
        groups = self._groups(judgments)
        if len(self.parts) == 1:
            return self.parts[0].estimate(groups[0])
        found = [part.estimate(group) for part, group in zip(self.parts, groups, strict=True)]
        terms = [
            (share * (e.mean - part.floor) / part.span, share * e.se / part.span)
            for part, share, e in zip(self.parts, self.shares, found, strict=True)
        ]
        return Estimate(
            mean=math.fsum(mean for mean, _ in terms),
            se=math.hypot(*(se for _, se in terms)),
            n=sum(e.n for e in found),
        )

    def by_part(self, judgments: Iterable[Judgment]) -> dict[str, Estimate]:
        """Return the score on each part, on the part's scale."""
        groups = self._groups(judgments)
        return {part.name: part.estimate(group) for part, group in zip(self.parts, groups, strict=True)}

    def difference(self, first: Iterable[Judgment], second: Iterable[Judgment]) -> Difference:
        """Return how much better `first` is than `second`, with its 95% interval.

        It is the difference of their scores, as `estimate` computes them, on the questions rated for both.
        """
        scales = [1.0] if len(self.parts) == 1 else self._scales
        groups = zip(self.parts, scales, self._groups(first), self._groups(second), strict=True)
        return weighted_interval(
            [Stratum(scale, a, b, part.aggregate, part.span) for part, scale, a, b in groups],
            resamples=min(part.resamples for part in self.parts),
        )

    def shortfall(self, judgments: Iterable[Judgment], min_coverage: float) -> str:
        """Return why too few of the judgments are ratings, naming the first such part; empty if enough are.

        Each part needs its minimum coverage, since a part that is always rated could hide another that is
        not. Parts without judgments are ignored.

        Args:
            judgments: All judgments of a candidate, with a rating or without.
            min_coverage: Minimum fraction of each part's judgments that must be ratings, in [0, 1].
        """
        groups = self._groups(judgments)
        if not any(groups):
            return shortfall((), min_coverage)
        for part, group in zip(self.parts, groups, strict=True):
            short = shortfall(group, min_coverage) if group else ""
            if short:
                return f"{part.name}: {short}" if len(self.parts) > 1 else short
        return ""

    def lacking(self, judgments: Iterable[Judgment]) -> str:
        """Return why there is no score although coverage is sufficient; empty if there is one."""
        for name, found in self.by_part(judgments).items():
            if math.isnan(found.mean):
                of_part = f"{name}: " if len(self.parts) > 1 else ""
                return f"{of_part}{'its score is no number' if found.n else 'nothing has a rating'}"
        return ""

    def halve(self, questions: Sequence[Question], seed: int) -> Halves:
        """Divide held-out questions into a selection split and a test split, each part's evenly.

        The selection split is empty if a split would have fewer than `FEWEST_QUESTIONS`, or fewer than
        `FEWEST_OF_A_PART` of a part. A winner that so few questions choose is chosen by chance, and so few
        that are left decide nothing.

        Args:
            questions: The held-out questions, in order.
            seed: Seed of the draw.
        """
        halves = [halve([q for q in questions if q.question_id in p.questions], seed) for p in self.parts]
        least = FEWEST_OF_A_PART if len(self.parts) > 1 else 0
        if any(len(split) < least for halved in halves for split in halved) or any(
            sum(map(len, splits)) < FEWEST_QUESTIONS for splits in zip(*halves, strict=True)
        ):
            return (), tuple(questions)
        chosen = {question.question_id for first, _ in halves for question in first}
        return (
            tuple(question for question in questions if question.question_id in chosen),
            tuple(question for question in questions if question.question_id not in chosen),
        )

    def contributions(
        self, judgments: Iterable[Judgment], questions: Sequence[Question]
    ) -> dict[QuestionId, float]:
        """Return what each rated question contributes to a score.

        A question's rating is the mean of its ratings. With several parts it is scaled and weighted, so that
        a part counts by its weight, however many questions it has. If every question has the same number of
        ratings, the mean over `questions` is the score; if not, it differs, as `estimate` averages ratings.
        """
        scores: dict[QuestionId, list[float]] = {}
        for judgment in judgments:
            if isinstance(judgment, Rating) and not math.isnan(judgment.score):
                scores.setdefault(judgment.question_id, []).append(judgment.score)
        means = {key: math.fsum(values) / len(values) for key, values in scores.items()}
        if len(self.parts) == 1:
            return means
        factors = self._factors(questions)
        return {
            key: factors[part] * (mean - self.parts[part].floor)
            for key, mean in means.items()
            for part in (self._part_of[key],)
        }

    @property
    def scale(self) -> float | None:
        """How far apart the lowest and the highest score are; None where single questions have no score."""
        if not self.by_question:
            return None
        return self.parts[0].span if len(self.parts) == 1 else 1.0

    def asked_unevenly(self, questions: Sequence[Question]) -> tuple[Part, Part] | None:
        """Return the parts whose single questions weigh most and least, if by a factor of `UNEVEN` or more.

        Args:
            questions: Those that are asked. If a part has none of them, None is returned.
        """
        counts = self._counts(questions)
        each = [share / n for share, n in zip(self.shares, counts, strict=True) if n]
        if len(each) < len(self.parts) or max(each) < UNEVEN * min(each):
            return None
        return self.parts[each.index(max(each))], self.parts[each.index(min(each))]

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """The weights of the parts, summing to 1."""
        total = math.fsum(part.weight for part in self.parts)
        return tuple(part.weight / total for part in self.parts)

    @cached_property
    def _scales(self) -> list[float]:
        return [share / part.span for share, part in zip(self.shares, self.parts, strict=True)]

    @cached_property
    def _part_of(self) -> Mapping[QuestionId, int]:
        return {key: index for index, part in enumerate(self.parts) for key in part.questions}

    def _factors(self, questions: Sequence[Question]) -> list[float]:
        """Return the factor of each part's ratings, given how many of `questions` belong to the part."""
        counts = self._counts(questions)
        return [
            scale * len(questions) / count if count else 0.0
            for scale, count in zip(self._scales, counts, strict=True)
        ]

    def _counts(self, questions: Sequence[Question]) -> list[int]:
        """Return how many of `questions` belong to each part."""
        counts = [0] * len(self.parts)
        for question in questions:
            counts[self._part_of[question.question_id]] += 1
        return counts

    def _groups(self, judgments: Iterable[Judgment]) -> list[list[Judgment]]:
        groups: list[list[Judgment]] = [[] for _ in self.parts]
        for judgment in judgments:
            groups[self._part_of[judgment.question_id]].append(judgment)
        return groups
