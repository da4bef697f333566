"""The rate limits in a provider's response headers, and the pauses they require."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause in which nothing is sent.

    Attributes:
        seconds: Its length.
        why: Its reason, for messages.
    """

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The rate limits in a provider's response headers; None for each value they lack.

    Attributes:
        requests: Requests allowed per window, which is a minute unless `requests_reset` is longer.
        requests_left: Requests left now.
        requests_reset: Seconds until all requests are available again.
        tokens: Tokens allowed per minute.
        tokens_left: Tokens left now.
        tokens_reset: Seconds until all tokens are available again.
        at_once: Whether everything is renewed at the reset (a fixed window); otherwise evenly until then.
        requests_told: The header and value that `requests_reset` was read from.
        tokens_told: The header and value that `tokens_reset` was read from.
    """

    requests: int | None = None
    requests_left: int | None = None
    requests_reset: float | None = None
    tokens: int | None = None
    tokens_left: int | None = None
    tokens_reset: float | None = None
    at_once: bool = False
    requests_told: str = field(default="", compare=False)
    tokens_told: str = field(default="", compare=False)

    def pause(self, tokens: int = 1) -> Pause | None:
        """Return how long to pause if too little is left for the next request, or None if enough is.

        Args:
            tokens: Tokens of the next request.
        """
        pauses = (self._for_a_request(), self._for_tokens(tokens))
        return max((pause for pause in pauses if pause), key=lambda pause: pause.seconds, default=None)

    def _for_a_request(self) -> Pause | None:
        if self.requests_left != 0 or not self.requests_reset:
            return None
        share = 1 / self.requests if self.requests and not self.at_once else 1
        return Pause(self.requests_reset * share, f"no request is left ({self.requests_told})")

    def _for_tokens(self, tokens: int) -> Pause | None:
        left, limit = self.tokens_left, self.tokens
        if left is None or not self.tokens_reset:
            return None
        lacking = (min(tokens, limit) if limit else tokens) - left
        if lacking <= 0:
            return None
        share = lacking / (limit - left) if limit and not self.at_once else 1
        return Pause(self.tokens_reset * share, f"too few tokens are left ({self.tokens_told})")
