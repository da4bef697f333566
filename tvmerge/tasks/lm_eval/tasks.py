"""The implementation of `tvmerge.tasks.base.Tasks` for lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tvmerge.scoring.objective import Part
from tvmerge.tasks.base import Note, Tasks
from tvmerge.tasks.lm_eval import loading
from tvmerge.tasks.lm_eval.chats import ChatWriter
from tvmerge.tasks.lm_eval.documents import Prompting
from tvmerge.tasks.lm_eval.judge import HarnessJudge
from tvmerge.tasks.lm_eval.model import Prompts
from tvmerge.tasks.lm_eval.pool import HarnessPool
from tvmerge.tasks.lm_eval.task import HarnessTask

if TYPE_CHECKING:
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.protocols import Judge, Pool
    from tvmerge.records import Question
    from tvmerge.tasks.settings import TaskConfig


@dataclass(frozen=True)
class HarnessTasks:
    """The tasks of a run.

    Attributes:
        tasks: The tasks.
        config: How their prompts are written.
    """

    tasks: tuple[HarnessTask, ...]
    config: TaskConfig

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each task."""
        return tuple(task.name for task in self.tasks)

    @property
    def questions(self) -> tuple[Question, ...]:
        """All documents, as questions."""
        return tuple(question for task in self.tasks for question in task.questions)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The part of each task in the objective."""
        return tuple(map(part_of, self.tasks))

    def in_chat(self, chat: ChatFormat, note: Note) -> HarnessTasks:
        """Return the tasks with their prompts in the chat template, if the settings ask for it.

        Raises:
            UserError: The template is invalid, or fails on a document.
        """
        config = self.config
        if not config.apply_chat_template:
            return self
        chat.require_template()
        writer = ChatWriter(chat)
        multiturn = config.fewshot_as_multiturn is not False
        tasks = loading.in_chats(self.tasks, Prompting(config.system_instruction, writer, multiturn))
        if writer.refused:
            note(f"prompts of tasks are sent without their system message, as in lm-eval: {writer.refused}")
        return replace(self, tasks=tasks)

    def pool(self, pool: Pool, chat: ChatFormat, context: Callable[[], int | None]) -> Pool:
        """Return a pool that answers the documents; see `Tasks.pool`."""
        return HarnessPool(pool, self.tasks, Prompts(chat.tokenizer, context()))

    def judge(self, others: Judge | None) -> Judge:
        """Return a judge that uses the tasks' own metrics, and `others` for all other answers."""
        return HarnessJudge(self.tasks, others)


def part_of(task: HarnessTask) -> Part:
    """Return a task's part in the objective."""
    return Part(
        name=task.name,
        questions=frozenset(task.by_id),
        weight=task.weight,
        floor=0.0,
        ceiling=1.0,
        aggregate=None if task.metric.by_document else task.aggregate,
        resamples=task.metric.resamples,
    )


if TYPE_CHECKING:
    _tasks: type[Tasks] = HarnessTasks
