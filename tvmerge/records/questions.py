"""Records of questions, answers and sampling parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

QuestionId = str | int

Split = Literal["search", "holdout"]

Finish = Literal["stop", "length", "thought"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a benchmark, in FastChat's terms.

    Attributes:
        question_id: Unique in its benchmark; a string or a number, as in the file.
        category: The kind of question; determines the temperature and the judge's prompt.
        turns: The user's messages, one or more.
        reference: Reference answers, one per turn; may be shorter than `turns`.
        needs_reference: Whether the judge compares with the reference (FastChat's math, reasoning, coding).
        split: The half its file assigns it to, or None if the file does not say.
        eval_aspect: Grading criteria for this question, for the judge; may be empty.
    """

    question_id: QuestionId
    category: str
    turns: tuple[str, ...]
    reference: tuple[str, ...] = ()
    needs_reference: bool = False
    split: Split | None = None
    eval_aspect: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer to a question.

    Attributes:
        question_id: The question answered.
        turns: The assistant's messages, one for each turn answered.
        finish: Why each turn ended: `stop` by the model, `length` at the token limit, `thought` at the token
            limit while the model was still thinking, so that there is no answer.
        sample: Which of several sampled answers this is, from 0.
        thoughts: What the model thought before it answered, one text per turn, which may be empty; an empty
            tuple if no turn has a thought.
        tokens: How many tokens were generated for it just now; 0 if that is not known, or if the answer was
            stored. No part of what the answer is.
    """

    question_id: QuestionId
    turns: tuple[str, ...]
    finish: tuple[Finish, ...] = ()
    sample: int = 0
    thoughts: tuple[str, ...] = ()
    tokens: int = field(default=0, compare=False)

    def cut_in_thought(self, turn: int) -> bool:
        """Return whether the model was still thinking when `turn` (from 1) ended."""
        return self.finish[turn - 1 : turn] == ("thought",)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        max_new_tokens: Maximum number of tokens of a turn; with `max_thinking_tokens`, of its answer.
        max_thinking_tokens: Maximum number of tokens of the thought before an answer; the thought is closed
            there so that the model has to answer. None counts thought and answer together.
        temperatures: Maps a category to its temperature; 0 is greedy.
        default_temperature: Temperature of categories that are not in `temperatures`.
        seed: Root of the seed of each (question, turn, sample): common random numbers for all candidates.
        samples: Number of answers drawn for each question.
        stop: Texts that end an answer; the answer ends before the first of them.
        truncate: Whether the oldest tokens of a conversation longer than the model's context are dropped.
            If false, such a conversation is rejected.
        raw: Whether a question's only turn is a text that the model continues unchanged: no chat template is
            applied, and the answer keeps its outer white space. With `truncate`, long texts are cut so that
            `max_new_tokens` more tokens fit.
    """

    max_new_tokens: int = 512
    temperatures: Mapping[str, float] = field(default_factory=dict)
    default_temperature: float = 0.7
    seed: int = 0
    samples: int = 1
    stop: tuple[str, ...] = ()
    truncate: bool = False
    raw: bool = False
    max_thinking_tokens: int | None = None

    def temperature(self, category: str) -> float:
        """Return the temperature for a question of `category`."""
        return self.temperatures.get(category, self.default_temperature)


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text whose likelihood is computed, as token ids.

    Attributes:
        context: What comes before it; at least one token.
        tokens: The continuation itself; at least one token.
    """

    context: tuple[int, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """How likely a model finds a continuation.

    Attributes:
        logprob: Natural logarithm of its probability given its context, summed over its tokens.
        greedy: Whether greedy decoding would produce exactly this continuation.
    """

    logprob: float
    greedy: bool


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine is and guarantees.

    Attributes:
        engine: Its name and version.
        exact: Whether answers are independent of what else is in the batch. True in float32; in 16-bit
            arithmetic, a batch's composition can change a token.
        context: Maximum number of tokens of a conversation, new ones included; None if there is no limit.
    """

    engine: str
    exact: bool
    context: int | None = None
