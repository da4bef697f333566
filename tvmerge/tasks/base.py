"""What tasks have to offer that are asked in a way of their own and rate themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.protocols import Judge, Pool
    from tvmerge.records import Question
    from tvmerge.scoring.objective import Part

Note = Callable[[str], None]
"""Tells the user something in passing."""


class Tasks(Protocol):
    """Tasks of one kind, all those of a run.

    They are asked beside the questions of benchmarks: each document is a question, and pool and judge are
    wrapped so that their owner answers and rates it.
    """

    @property
    def names(self) -> Sequence[str]:
        """The name of each task."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """All documents, as questions; their ids are no other's."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What each task is in the objective."""

    def in_chat(self, chat: ChatFormat, note: Note) -> Tasks:
        """The same tasks with their prompts written in the chat template, where the settings say so.

        Raises:
            UserError: The template is not usable, or fails on a document.
        """

    def pool(self, pool: Pool, chat: ChatFormat, context: Callable[[], int | None]) -> Pool:
        """A pool that answers these tasks, and asks `pool` all other questions.

        Args:
            pool: The live models.
            chat: The target's tokenizer and chat template.
            context: Gives the most tokens that an engine reads of a text whose likelihood is asked; None
                where the model sets no limit.
        """

    def judge(self, others: Judge | None) -> Judge:
        """A judge that rates these tasks, and has `others`, where there are any, rate all other answers."""
