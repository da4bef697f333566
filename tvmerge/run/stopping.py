"""When a search by blocks ends before it has asked all its questions: `--stop-when`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tvmerge.errors import ConfigError
from tvmerge.judging.client.pipeline import prices_of
from tvmerge.run.judging_price import usd_per_answer
from tvmerge.study.stop_when import StopWhen
from tvmerge.study.storage import USD_PER_ANSWER

if TYPE_CHECKING:
    from tvmerge.judging.spec import JudgeSpec
    from tvmerge.study.blocks.gain import Prospect
    from tvmerge.study.blocks.study import BlockStudy

EVERY = 8
"""Told asks between two looks at what further answers can gain."""


class Stopping:
    """Decides whether a search by blocks goes on.

    It looks when the number of told asks is a multiple of `EVERY`, or of the window if that is larger, and
    from these asks alone. Once it has decided to stop, only the asks in flight are told, which are fewer than
    that. So the decision depends neither on timing nor on interruptions, and a resumed search stays stopped.

    Args:
        study: The study.
        when: The bound; None never stops.
        usd_per_answer: What judging an answer costs, if an earlier run of the study has recorded it. It is
            recorded at the first look, so that a resumed run, which knows more answers, decides alike.
    """

    def __init__(self, study: BlockStudy, when: StopWhen | None, usd_per_answer: float | None = None) -> None:
        self._study = study
        self._when = when
        self._usd_per_answer = usd_per_answer
        self._looked = 0
        self._stopped: Prospect | None = None

    @property
    def goes_on(self) -> bool:
        """Whether more may be asked, as of the last look."""
        return self._stopped is None

    def look(self) -> None:
        """Look at what further answers can gain, if it is time to."""
        asks = self._study.checkpoint(EVERY)
        if self._when is None or asks == self._looked:
            return
        self._looked = asks
        found = self._study.prospect(asks)
        self._stopped = found if found is not None and self._is_too_little(found) else None

    def prospects(self) -> Mapping[str, Any] | None:
        """What further answers can gain at the end of the search, as plain JSON data; None if unknown."""
        found = self._stopped or self._study.prospect()
        if found is None:
            return None
        when = None if self._when is None else str(self._when)
        return {**asdict(found), "stop_when": when, "stopped": not self.goes_on}

    def _is_too_little(self, found: Prospect) -> bool:
        assert self._when is not None
        if not self._when.per_usd:
            return found.gain < self._when.bound
        price = self._price()
        return price is not None and found.gain < self._when.bound * price * found.answers

    def _price(self) -> float | None:
        """USD for judging an answer, to two digits; None while nothing is known to have cost."""
        if self._usd_per_answer is None and (usd := usd_per_answer(self._study.trials)) is not None:
            self._usd_per_answer = float(f"{usd:.1e}")
            self._study.record(USD_PER_ANSWER, self._usd_per_answer)
        return self._usd_per_answer


def check_prices(when: StopWhen | None, specs: Iterable[JudgeSpec]) -> None:
    """Check that a bound per USD can be compared with what judges cost.

    Raises:
        ConfigError: No judge has a price, or one on a server has none.
    """
    if when is None or not when.per_usd:
        return
    prices = {spec.name: prices_of(spec) for spec in specs}
    unknown = [name for name, price in prices.items() if price is None]
    if unknown:
        raise ConfigError(
            f"--stop-when {when.bound:g}/USD needs a price, and the judge '{unknown[0]}' has none: put "
            "price_input and price_output (USD per million tokens) into its judge file, or bound the points "
            f"alone (--stop-when {when.bound:g})"
        )
    if not any(price is not None and price.input + price.output for price in prices.values()):
        raise ConfigError(
            f"--stop-when {when.bound:g}/USD needs a judge with a price, and these answers are judged for "
            f"nothing; bound the points alone (--stop-when {when.bound:g})"
        )
