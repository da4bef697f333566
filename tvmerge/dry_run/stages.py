"""What each stage of a run still needs: its answers, and the requests to its judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tvmerge.dry_run.remaining import Candidates, RemainingWork
from tvmerge.dry_run.requests import RequestCount, RequestEstimator

if TYPE_CHECKING:
    from tvmerge.engines.answer_store import StoredAnswers
    from tvmerge.judging.client.request_counter import RequestCounter
    from tvmerge.records import Answer, QuestionId
    from tvmerge.run.spec import RunSpec

CHECK = "judge check"
"""The stage whose requests are never batched."""

SEARCH = "search"
COMPARISON = "final comparison"

GGUF = "GGUF files"
"""The stage in which the winner answers as GGUF files; it needs no engine of the run."""


class StageEstimator:
    """Counts what each stage needs if an unknown answer has a given length.

    Args:
        run_spec: The run.
        counter: Counts the requests of its judges.
        length: Bytes of a turn of an unknown answer.
        stored: The stored answers of the search; None if they cannot be known.
        baseline: The known answers of the baseline, for pairwise judging.
    """

    def __init__(
        self,
        run_spec: RunSpec,
        counter: RequestCounter,
        length: int,
        stored: StoredAnswers | None,
        baseline: Mapping[QuestionId, Answer],
    ) -> None:
        self._run_spec = run_spec
        suite = run_spec.suite
        held_out = None if stored is None else stored.of(run_spec.confirm_identity)
        self.searching, self._searched, self._comparing = (
            RequestEstimator(asked, counter, length, known, baseline)
            for asked, known in (
                (suite, stored),
                (suite.confirming, stored),
                (suite.confirming, held_out),
            )
        )

    async def stages(self, remaining: RemainingWork) -> dict[str, RequestCount]:
        """Return what each stage needs for the remaining work."""
        search = await _count(self.searching, (remaining.search,))
        if (anchor := self._run_spec.suite.anchor) is not None:
            anchored = await _count(self._searched, (remaining.search,))
            search += anchored.calls_alone.share(anchor.fraction)
        compared = await _count(self._comparing, (remaining.selection, remaining.test))
        compared += await _count(self._searched, (remaining.searched,))
        checked = not self._run_spec.config.no_judge_check
        stages = {
            CHECK: await self.searching.check() if checked else RequestCount(),
            SEARCH: search,
            COMPARISON: compared,
        }
        if (gguf := self._run_spec.gguf) is not None:
            unknown = Candidates(remaining.test.questions, remaining.test.sampling, (), len(gguf.tools.types))
            stages[GGUF] = await _count(self._comparing, (unknown,))
        return stages


async def _count(estimator: RequestEstimator, groups: Iterable[Candidates]) -> RequestCount:
    count = RequestCount()
    for group in groups:
        count += await estimator.unknown(group.questions, group.sampling.samples) * group.unknown
        for recipe in group.known:
            count += await estimator.known(recipe, group.questions, group.sampling)
    return count
