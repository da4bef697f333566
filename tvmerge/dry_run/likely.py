"""What a run is likely to take: from what is stored of it, else from what is usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tvmerge.judging.client.ledger import read_usage
from tvmerge.judging.client.request_counter import Calls
from tvmerge.records import Trial
from tvmerge.report.numbers import count, percent
from tvmerge.study.make import asks_blocks

if TYPE_CHECKING:
    from tvmerge.engines.answer_store import StoredAnswers
    from tvmerge.judging.client.chat import Usage
    from tvmerge.run.spec import RunSpec

TOKEN_BYTES = 3
"""Bytes of text per token that are assumed: a Japanese character, or most of a short English word."""

ANSWER_SHARE = 0.25
"""Length of an answer that is assumed, as a share of the longest possible one."""

REPLY_TOKENS = 300
"""Length of a judge's reply that is assumed, in tokens."""

THINKING_TOKENS = 1000
"""The same for a judge that may think before it replies, with the thoughts, which are paid for too."""

_LONG_REPLY = 4096
"""A judge that may write more tokens than this thinks before it replies."""

RACED = 0.4
"""Share of the search questions that trials answer on average if races stop the worse ones.

Measured on the demo by `python -m perf.economy.races`.
"""

_LEAST_TRIALS = 8
_LEAST_CALLS = 10
_MOST_LOOKED_UP = 20


@dataclass(frozen=True, slots=True)
class Habits:
    """The lengths and shares that a likely run is computed with.

    Attributes:
        answer_bytes: Bytes of a turn of an answer.
        answered: Share of the search questions that a trial answers.
        replies: Mean tokens of a call of each judge, as far as its calls are recorded.
        sources: Where the numbers come from, as parts of a sentence.
    """

    answer_bytes: int
    answered: float = 1.0
    replies: Mapping[str, Usage] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @property
    def answer_tokens(self) -> int:
        """Tokens of a turn of an answer."""
        return max(1, round(self.answer_bytes / TOKEN_BYTES))

    def usage(self, judge: str, calls: Calls) -> tuple[int, int]:
        """Return the input and output tokens of a judge's calls.

        Args:
            judge: Its name.
            calls: The calls, with input counted in bytes and output at its limit.
        """
        if (mean := self.replies.get(judge)) is not None:
            return mean.input * calls.calls, mean.output * calls.calls
        reply = THINKING_TOKENS if calls.output > _LONG_REPLY * calls.calls else REPLY_TOKENS
        return calls.input // TOKEN_BYTES, min(calls.output, reply * calls.calls)

    def __str__(self) -> str:
        return f"likely: {'; '.join(self.sources)}"


def habits_of(run_spec: RunSpec, trials: Sequence[Trial], stored: StoredAnswers | None) -> Habits:
    """Return what is known of a run, completed by what is usual.

    Args:
        run_spec: The run.
        trials: The trials of its study.
        stored: The stored answers; None if they cannot be known.
    """
    answer_bytes, length = _answer_bytes(run_spec, trials, stored)
    answered, share = _answered(run_spec, trials)
    found = read_usage(run_spec.paths.ledger)
    judges = {spec.name for spec in run_spec.suite.specs}
    replies = {
        name: mean for name, (calls, mean) in found.items() if calls >= _LEAST_CALLS and name in judges
    }
    sources = [length, *share]
    if replies:
        sources.append(f"calls as long as those so far of {', '.join(sorted(replies))}")
    if judges - replies.keys():
        sources.append(
            f"{TOKEN_BYTES} bytes per token, replies of {REPLY_TOKENS} tokens, of {THINKING_TOKENS:,} by a "
            "judge that thinks (assumed)"
        )
    return Habits(answer_bytes, answered, replies, tuple(sources))


def _answer_bytes(
    run_spec: RunSpec, trials: Sequence[Trial], stored: StoredAnswers | None
) -> tuple[int, str]:
    """Return the bytes of a turn and how they are known."""
    longest = run_spec.config.max_new_tokens * TOKEN_BYTES
    recipes = [*(trial.recipe for trial in trials[-_MOST_LOOKED_UP:]), *run_spec.enqueued[:_MOST_LOOKED_UP]]
    if stored is not None:
        questions = run_spec.search_questions
        answers = [a for r in recipes for a in stored.look_up(r, questions, run_spec.sampling)[0]]
        turns = [turn for answer in answers for turn in answer.turns]
        if turns:
            return _mean_bytes(turns), f"answers as long as {count(len(answers), 'stored answer')}"
    references = [turn for q in run_spec.search_questions for turn in q.reference]
    if references:
        return min(longest, _mean_bytes(references)), "answers as long as the reference answers"
    return (
        max(1, round(ANSWER_SHARE * longest)),
        f"answers of {percent(ANSWER_SHARE)} of --max-new-tokens (assumed)",
    )


def _answered(run_spec: RunSpec, trials: Sequence[Trial]) -> tuple[float, tuple[str, ...]]:
    """Return the share of the search questions that a trial answers and how it is known."""
    if run_spec.rules is None or asks_blocks(run_spec.config.optuna_sampler):
        return 1.0, ()
    number = len(run_spec.search_questions)
    told = [trial for trial in trials if trial.state in {"COMPLETE", "PRUNED"}]
    if len(told) < _LEAST_TRIALS:
        return RACED, (f"trials answer {percent(RACED)} of their questions, as racing stops most (assumed)",)
    answered = [trial.attrs.get("questions", number) if trial.state == "PRUNED" else number for trial in told]
    share = min(1.0, sum(answered) / (number * len(told)))
    return share, (f"trials answer {percent(share)} of their questions, as those so far",)


def _mean_bytes(texts: Sequence[str]) -> int:
    return max(1, round(sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) / len(texts)))
