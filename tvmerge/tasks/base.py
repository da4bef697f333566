"""The interface of tasks that ask models in their own way and rate the answers themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.protocols import Judge, Pool
    from tvmerge.records import Question
    from tvmerge.scoring.objective import Part

Note = Callable[[str], None]
"""Shows the user a note."""


class Tasks(Protocol):
    """All tasks of one kind in a run.

    They are asked together with the questions of benchmarks: each document becomes a question, and pool and
    judge are wrapped so that its task answers and rates it.
    """

    @property
    def names(self) -> Sequence[str]:
        """The name of each task."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """All documents as questions, with unique ids."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The part of each task in the objective."""

    def in_chat(self, chat: ChatFormat, note: Note) -> Tasks:
        """Return the tasks with their prompts in the chat template, if the settings ask for it.

        Raises:
            UserError: The template is invalid, or fails on a document.
        """

    def pool(self, pool: Pool, chat: ChatFormat, context: Callable[[], int | None]) -> Pool:
        """Return a pool that answers these tasks and passes all other questions to `pool`.

        Args:
            pool: The live models.
            chat: The target's tokenizer and chat template.
            context: Returns the maximum number of tokens of a text whose likelihood an engine can compute, or
                None if the model has no limit.
        """

    def judge(self, others: Judge | None) -> Judge:
        """Return a judge that rates these tasks and passes all other answers to `others`, if given."""
