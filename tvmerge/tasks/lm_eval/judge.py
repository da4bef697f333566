"""The judge of tasks, which uses their own metrics and makes no calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question, Unrated
from tvmerge.tasks.lm_eval.task import JUDGE, HarnessTask


class HarnessJudge:
    """Rates the answers of `HarnessPool` with the metric of each document's task.

    Args:
        tasks: The tasks.
        others: Rates the answers to all other questions, if there are any.
    """

    def __init__(self, tasks: Sequence[HarnessTask], others: Judge | None = None) -> None:
        self._tasks = tasks
        self._task_of = {id_: task for task in tasks for id_ in task.by_id}
        self._others = others

    @property
    def name(self) -> str:
        """The other judge's name, or `lm-eval`."""
        return JUDGE if self._others is None else self._others.name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """lm-eval's version, a digest of each task, and the other judge's fingerprint."""
        digests = {task.name: task.digest[:16] for task in self._tasks}
        others = {} if self._others is None else self._others.fingerprint
        return {**others, "lm_eval": version("lm_eval"), "tasks": digests}

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Return the judgment of a document; none if it was not answered or the metric does not apply to it.

        An answer without responses, such as a placeholder in a dry run, is unrated.
        """
        task = self._task_of.get(question.question_id)
        if task is None:
            assert self._others is not None, f"question {question.question_id} is of no task"
            return await self._others.judge(question, answer)
        if not answer.turns:
            return []
        try:
            responses = unpack(answer.turns[0])
        except (ValueError, TypeError, KeyError):
            return [
                Unrated(question.question_id, 1, JUDGE, task.name, reason="the answer holds no responses")
            ]
        judgment = task.rate(task.by_id[question.question_id], responses)
        return [] if judgment is None else [judgment]

    async def close(self) -> None:
        """Close the other judge."""
        if self._others is not None:
            await self._others.close()


def pack(responses: Sequence[Sequence[Any]]) -> str:
    """Pack a model's responses to a document into the single turn of an answer."""
    return json.dumps({"responses": responses}, ensure_ascii=False)


def unpack(text: str) -> list[list[Any]]:
    """Return packed responses, with JSON's lists converted back to pairs.

    Raises:
        ValueError, TypeError, KeyError: The text was not written by `pack`.
    """
    requests = json.loads(text)["responses"]
    return [[tuple(said) if isinstance(said, list) else said for said in request] for request in requests]


if TYPE_CHECKING:
    _judge: type[Judge] = HarnessJudge
