"""What is asked, how, and what is answered."""

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
        question_id: Unique in its benchmark; a string or a number, as the file has it.
        category: What kind of question it is; decides the temperature and the judge's prompt.
        turns: The user's messages, one or more.
        reference: Reference answers, one per turn; may be shorter than `turns`.
        needs_reference: The judge compares with the reference (FastChat's math, reasoning and coding).
        split: The half it was put in by its file, or None where the file does not say.
        eval_aspect: Grading criteria of its own, for the judge; may be empty.
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
        finish: Why each turn ended: `stop` at its own end, `length` cut off at the token limit, `thought`
            before the model was done thinking, so that there is no answer.
        sample: Which of several sampled answers this is, from 0.
        thoughts: What the model thought before it answered, one text per turn, empty where it did not; empty
            if no turn has a thought.
    """

    question_id: QuestionId
    turns: tuple[str, ...]
    finish: tuple[Finish, ...] = ()
    sample: int = 0
    thoughts: tuple[str, ...] = ()

    def cut_in_thought(self, turn: int) -> bool:
        """Whether the model was still thinking where `turn` (from 1) ends."""
        return self.finish[turn - 1 : turn] == ("thought",)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        max_new_tokens: The most tokens a turn may have; with `max_thinking_tokens` the most of its answer.
        max_thinking_tokens: The most tokens of the thought before an answer, which is closed there so that
            the model has to answer; None counts thought and answer together.
        temperatures: Category to temperature; 0 is greedy.
        default_temperature: For categories that `temperatures` does not name.
        seed: Root of the seed of each (question, turn, sample): common random numbers for all candidates.
        samples: Answers drawn for each question.
        stop: Texts that end an answer; the answer goes up to the first of them.
        truncate: What becomes of a conversation longer than the model's context: its oldest tokens are left
            out if true, it is refused if false.
        raw: A question's one turn is a text that the model continues as it stands: no chat template is put
            around it, and the answer keeps its outer space. With `truncate`, long texts are cut so that
            `max_new_tokens` fit behind them.
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
        """Temperature for a question of `category`."""
        return self.temperatures.get(category, self.default_temperature)


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text whose likelihood is asked, as token ids.

    Attributes:
        context: What stands before it; at least one token.
        tokens: The continuation itself; at least one token.
    """

    context: tuple[int, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """How likely a model finds a continuation.

    Attributes:
        logprob: Natural logarithm of its probability given its context, the sum over its tokens.
        greedy: Whether greedy decoding would produce just this.
    """

    logprob: float
    greedy: bool


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine is and what may be expected of it.

    Attributes:
        engine: Its name and version.
        exact: Answers do not depend on what else is in the batch. True in float32; 16-bit arithmetic can
            flip a token with the batch's composition.
        context: The most tokens of a conversation, new ones included; None where the model sets no limit.
    """

    engine: str
    exact: bool
    context: int | None = None
