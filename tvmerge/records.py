"""What the stages hand each other: frozen, named, free of behaviour and of heavy imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

QuestionId = str | int

OVERALL = "overall"
"""Trial attribute: the weighted score where the study itself maximises several."""

CUT_OFF = "cut_off"
"""Trial attribute: share of the turns answered that ended at the token limit."""

CUT_IN_THOUGHT = "cut_in_thought"
"""Trial attribute: share of the turns answered that ended while the model was still thinking."""

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
class Recipe:
    """How to make a candidate: a weight for every group of tensors.

    Attributes:
        weights: Group name (`embeddings`, `layers.3`, `norm`, ...) to the weight of its task vector.
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A recipe is a value: nobody may change the mapping it was made from behind its back.
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        max_new_tokens: The most tokens per turn may have; with `max_thinking_tokens` the most of its answer.
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


WHOLE = "no score of its own: the metric is of all documents together"
"""What is said of a verdict whose score is nan."""


@dataclass(frozen=True, slots=True)
class Rating:
    """A judge's rating of one turn of an answer.

    Attributes:
        question_id: The question.
        turn: The turn judged, from 1.
        score: The rating, on the prompt's scale (1 to 10 for the shipped ones); nan where only all questions
            together have a score.
        judge: The judge model's name.
        prompt: The name of the judge prompt, or of the rule set.
        user_prompt: What the judge was shown.
        reply: What the judge said, whole.
        sample: Which sample of the judge's opinion this is, from 0.
        note: Why no judge was asked (`empty answer`, `refused by the provider`), or an empty string.
    """

    question_id: QuestionId
    turn: int
    score: float
    judge: str
    prompt: str
    user_prompt: str = ""
    reply: str = ""
    sample: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unrated:
    """A judgment that gave no rating: its own type, so that no mean can take it for a number.

    Attributes:
        reason: Why there is no rating, in a few words.
        cure: What the user can do about it, where it is the judge's fault; empty where it is the answer's.
    """

    question_id: QuestionId
    turn: int
    judge: str
    prompt: str
    reason: str
    user_prompt: str = ""
    reply: str = ""
    sample: int = 0
    cure: str = ""


Judgment = Rating | Unrated


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its uncertainty.

    Attributes:
        mean: Mean over all judgments, pooled as FastChat pools them.
        se: Standard error of the mean with questions as the clusters, since a question's turns are not
            independent; nan with fewer than two questions.
        n: Number of questions.
    """

    mean: float
    se: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two means over the same questions, with its confidence interval.

    Attributes:
        difference: Mean of the first minus mean of the second; nan without a common question.
        low: Lower bound; nan with fewer than two questions.
        high: Upper bound; nan with fewer than two questions.
        n: Number of questions with a verdict on both sides.
    """

    difference: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One candidate's answers to a set of questions and what the judge said of them, in question order.

    Attributes:
        recipe: The candidate.
        rated: Its answers, each with its judgments.
        stopped: It was stopped before it had answered all questions.
        failure: Why the candidate is not a model that could answer; empty where it is one.
    """

    recipe: Recipe
    rated: tuple[tuple[Answer, tuple[Judgment, ...]], ...] = ()
    stopped: bool = False
    failure: str = ""

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers."""
        return tuple(answer for answer, _ in self.rated)

    @property
    def judgments(self) -> tuple[Judgment, ...]:
        """The judgments of all answers."""
        return tuple(judgment for _, judgments in self.rated for judgment in judgments)


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of a study.

    Attributes:
        number: Its place in the study, from 0.
        recipe: Its weights.
        value: Its score, the first of several; None while it runs and where it failed. Where it was stopped
            early, the estimate of its score.
        state: Optuna's name of its state: RUNNING, COMPLETE, PRUNED (stopped early) or FAIL.
        attrs: What was recorded with the score (`se`, `n`, `coverage`, ...), as plain JSON data.
        values: Its scores, one an objective, the higher the better; made of `value` where there is just one.
    """

    number: int
    recipe: Recipe
    value: float | None = None
    state: str = "RUNNING"
    attrs: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _values(self.value, self.values))

    @property
    def overall(self) -> float | None:
        """Its score over all objectives: the weighted mean where the study maximises several."""
        found = self.attrs.get(OVERALL, self.value)
        return None if found is None else float(found)

    @property
    def scored(self) -> bool:
        """Whether it has answered every question and has a score: only such a trial can be the best."""
        return self.state == "COMPLETE"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a study is told of a candidate.

    Attributes:
        value: The score, the first of several, or None where too few judgments gave one: the trial fails.
        attrs: What to record with it, as plain JSON data.
        stopped: The candidate was stopped early; `value` estimates what its score would have been, and
            `attrs["questions"]` says how many questions the estimate is made of.
        values: The scores, one an objective, the higher the better; made of `value` where there is just one.
    """

    value: float | None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = False
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _values(self.value, self.values))

    @property
    def state(self) -> Literal["COMPLETE", "PRUNED"]:
        """The state of the trial once it is told, in Optuna's terms, where it did not fail."""
        return "PRUNED" if self.stopped else "COMPLETE"


def _values(value: float | None, values: tuple[float, ...]) -> tuple[float, ...]:
    """The scores of a trial, whose first is `value`."""
    return values or (() if value is None else (value,))
