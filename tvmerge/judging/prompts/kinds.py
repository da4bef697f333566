"""The kinds of judge prompts, and which of them a question needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tvmerge.records import Question

CONVERSATION: Final = "-conversation"
"""The ending of the names of prompts for third and later turns."""

ALL_TURNS: Final = "-all-turns"
"""The ending of the names of prompts that ask for a rating of each turn."""


@dataclass(frozen=True, slots=True)
class PromptKind:
    """A kind of prompt, which FastChat identifies by its name.

    Attributes:
        pairwise: Compares two answers instead of rating one.
        reference: Shows reference answers.
        multi_turn: Shows two turns and asks about the second.
        conversation: Shows all turns and asks about the last, which is the third or later. FastChat has no
            such prompts.
        all_turns: Shows all turns and asks for a rating of each. FastChat has no such prompts.
    """

    pairwise: bool = False
    reference: bool = False
    multi_turn: bool = False
    conversation: bool = False
    all_turns: bool = False

    @property
    def name(self) -> str:
        """The name of a prompt of this kind: FastChat's, if it has one."""
        stem = "pair" if self.pairwise else "single"
        version = "math-v1" if self.reference else ("v2" if self.pairwise else "v1")
        return f"{stem}-{version}{self._ending}"

    @property
    def _ending(self) -> str:
        if self.all_turns:
            return ALL_TURNS
        return "-multi-turn" if self.multi_turn else (CONVERSATION if self.conversation else "")

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields its template must have, and the only ones it may have besides `{eval_aspect}`."""
        if self.all_turns:
            return ("conversation", "turns")
        turns = ("_1", "_2") if self.multi_turn else ("",)
        sides = ("answer_a", "answer_b") if self.pairwise else ("answer",)
        questions = tuple(f"question{turn}" for turn in turns)
        answers = tuple(f"{side}{turn}" for side in sides for turn in turns)
        references = ("ref_answer_1", "ref_answer_2") if self.multi_turn else ("ref_answer_1",)
        if self.conversation:
            answers += tuple(side.replace("answer", "conversation") for side in sides)
            references = ("ref_answer",)
        return questions + answers + (references if self.reference else ())

    @property
    def turn_fields(self) -> tuple[str, ...]:
        """The fields of its template for one turn, if it asks for a rating of each."""
        if not self.all_turns:
            return ()
        return ("turn", "question", "answer", *(("ref_answer",) if self.reference else ()))


def kind_for(question: Question, turn: int, *, pairwise: bool = False) -> PromptKind:
    """Return the kind of prompt that judges `turn` (from 1) of an answer to `question`.

    A question is judged with its reference if it needs one and has one for every turn shown. Grading criteria
    count as a reference.
    """
    referenced = len(question.reference) >= turn or bool(question.eval_aspect)
    return PromptKind(
        pairwise=pairwise,
        reference=question.needs_reference and referenced,
        multi_turn=turn == 2,
        conversation=turn > 2,
    )


def kind_for_all(question: Question) -> PromptKind:
    """Return the kind of prompt that asks for a rating of each turn of an answer to `question`.

    A question is judged with its references if it needs them and has one for any turn. Grading criteria count
    as a reference.
    """
    referenced = any(question.reference) or bool(question.eval_aspect)
    return PromptKind(reference=question.needs_reference and referenced, all_turns=True)


def needed_kinds(
    questions: Iterable[Question], *, pairwise: bool = False, together: bool = False
) -> dict[PromptKind, int]:
    """Return the kinds of prompts that these questions need, each with the first turn that needs it.

    Args:
        questions: The questions.
        pairwise: Whether answers are compared with others.
        together: Whether all turns of an answer are rated in one request.
    """
    if together:
        return {kind_for_all(question): 1 for question in questions}
    needed: dict[PromptKind, int] = {}
    for question in questions:
        for turn in range(1, len(question.turns) + 1):
            needed.setdefault(kind_for(question, turn, pairwise=pairwise), turn)
    return needed
