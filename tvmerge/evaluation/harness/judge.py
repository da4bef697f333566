"""The judge of tasks: their own metrics, without a call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tvmerge.evaluation.harness.task import JUDGE, HarnessTask
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question


class HarnessJudge:
    """Rates what `HarnessPool` answers by the metric of each document's task.

    Args:
        tasks: The tasks; a question's category names the one it is of.
    """

    def __init__(self, tasks: Sequence[HarnessTask]) -> None:
        self._tasks = {task.name: task for task in tasks}

    @property
    def name(self) -> str:
        """`lm-eval`."""
        return JUDGE

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """lm-eval's version, and each task's documents, prompts and metric."""
        digests = {task.name: task.digest[:16] for task in self._tasks.values()}
        return {"lm_eval": version("lm_eval"), "tasks": digests}

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """The one judgment of a document; none where it was not answered."""
        if not answer.turns:
            return []
        task = self._tasks[question.category]
        return [task.rate(task.by_id[question.question_id], unpack(answer.turns[0]))]

    async def close(self) -> None:
        """Nothing is held."""


def pack(responses: Sequence[Sequence[Any]]) -> str:
    """What a model says of a document, as the one turn of an answer."""
    return json.dumps(responses, ensure_ascii=False)


def unpack(text: str) -> list[list[Any]]:
    """What was packed; JSON has no pairs."""
    return [
        [tuple(said) if isinstance(said, list) else said for said in request] for request in json.loads(text)
    ]


if TYPE_CHECKING:
    _judge: type[Judge] = HarnessJudge
