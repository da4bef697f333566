"""A judge made of several judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from tvmerge._util.tasks import gather_or_cancel
from tvmerge.errors import ConfigError
from tvmerge.judging.judges.comparing import with_baseline
from tvmerge.records import Answer, Judgment, Question, QuestionId

if TYPE_CHECKING:
    from tvmerge.protocols import Judge


class PanelJudge:
    """Asks several judges; their ratings are pooled in the mean.

    Args:
        judges: The judges.

    Raises:
        ConfigError: Two judges have the same name, so their ratings could not be told apart.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        names = [judge.name for judge in judges]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"the judge '{name}' is named twice; for several ratings use --judge-samples"
                )
        self._judges = tuple(judges)

    @property
    def name(self) -> str:
        """The judges' names."""
        return "+".join(judge.name for judge in self._judges)

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """The fingerprints of all judges."""
        return {"panel": {judge.name: dict(judge.fingerprint) for judge in self._judges}}

    def with_baseline(self, answers: Mapping[QuestionId, Answer]) -> PanelJudge:
        """Return a panel whose judges compare with these answers."""
        return PanelJudge([with_baseline(judge, answers) for judge in self._judges])

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Return the ratings of all judges, ordered by turn, then by judge, then by sample."""
        by_judge = await gather_or_cancel(self._ask(judge, question, answer) for judge in self._judges)
        pooled = [judgment for judgments in by_judge for judgment in judgments]
        return sorted(pooled, key=lambda judgment: judgment.turn)

    async def close(self) -> None:
        """Close all judges, even if closing one fails."""
        async with AsyncExitStack() as last:
            for judge in reversed(self._judges):
                last.push_async_callback(judge.close)

    @staticmethod
    async def _ask(judge: Judge, question: Question, answer: Answer) -> Sequence[Judgment]:
        return await judge.judge(question, answer)


if TYPE_CHECKING:
    _judge: type[Judge] = PanelJudge
