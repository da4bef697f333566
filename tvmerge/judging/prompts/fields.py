"""Fills the fields of a judge prompt."""

from __future__ import annotations

from tvmerge.judging.prompts.kinds import PromptKind
from tvmerge.judging.prompts.prompts import EVAL_ASPECT, JudgePrompt
from tvmerge.records import Answer, Question

_ASPECT_HEADING = "採点基準 (grading criteria):"
_NO_REFERENCE = "(none)"


def question_fields(question: Question, prompt: JudgePrompt, kind: PromptKind, turn: int) -> dict[str, str]:
    """Return the fields of the question, its references and its grading criteria.

    Args:
        question: The question.
        prompt: The prompt to fill; if it has no field for grading criteria, they are put with the reference.
        kind: Its kind.
        turn: The turn to judge, from 1.
    """
    fields = {EVAL_ASPECT: question.eval_aspect}
    if kind.multi_turn:
        fields |= {"question_1": question.turns[0], "question_2": question.turns[1]}
    else:
        fields["question"] = question.turns[turn - 1]
    if kind.reference:
        fields |= _references(question, prompt, kind, turn)
    return fields


def answer_fields(
    question: Question, answer: Answer, kind: PromptKind, turn: int, side: str = ""
) -> dict[str, str]:
    """Return the fields of an answer; `side` is empty, `_a` or `_b`."""
    if kind.multi_turn:
        return {f"answer{side}_1": answer.turns[0], f"answer{side}_2": answer.turns[1]}
    fields = {f"answer{side}": answer.turns[turn - 1]}
    if kind.conversation:
        fields[f"conversation{side}"] = _conversation(question, answer, turn - 1)
    return fields


def all_turns_fields(
    question: Question, answer: Answer, prompt: JudgePrompt, kind: PromptKind, turns: int
) -> dict[str, str]:
    """Return the fields of a prompt that asks for a rating of each of the first `turns` turns."""
    shown = prompt.conversation(_turn(question, answer, kind, turn) for turn in range(1, turns + 1))
    if kind.reference and question.eval_aspect and EVAL_ASPECT not in prompt.named_fields:
        shown += f"\n\n{_ASPECT_HEADING}\n{question.eval_aspect}"
    return {"conversation": shown, "turns": str(turns), EVAL_ASPECT: question.eval_aspect}


def _turn(question: Question, answer: Answer, kind: PromptKind, turn: int) -> dict[str, str]:
    fields = {
        "turn": str(turn),
        "question": question.turns[turn - 1],
        "answer": answer.turns[turn - 1],
    }
    if kind.reference:
        fields["ref_answer"] = "".join(question.reference[turn - 1 : turn]) or _NO_REFERENCE
    return fields


def _references(question: Question, prompt: JudgePrompt, kind: PromptKind, turn: int) -> dict[str, str]:
    shown = [question.reference[at] if at < len(question.reference) else "" for at in range(turn)]
    if question.eval_aspect and EVAL_ASPECT not in prompt.named_fields:
        criteria = f"{_ASPECT_HEADING}\n{question.eval_aspect}"
        shown[-1] = f"{shown[-1]}\n\n{criteria}" if shown[-1] else criteria
    if kind.conversation:
        return {"ref_answer": shown[-1]}
    return {f"ref_answer_{number}": text for number, text in enumerate(shown, start=1)}


def _conversation(question: Question, answer: Answer, turns: int) -> str:
    """Format the first `turns` turns of a conversation."""
    pairs = zip(question.turns[:turns], answer.turns[:turns], strict=True)
    return "\n\n".join(
        f"[User, turn {number}]\n{asked}\n\n[Assistant, turn {number}]\n{said}"
        for number, (asked, said) in enumerate(pairs, start=1)
    )
