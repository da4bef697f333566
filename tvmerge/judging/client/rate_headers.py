"""What a provider tells of its rate limits, and how long to send nothing because of them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pause:
    """For how long nothing is to be sent.

    Attributes:
        seconds: So long.
        why: Why, for people.
    """

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a provider's response headers say of its limits; None where they do not say.

    Attributes:
        requests: Requests allowed in its window, a minute unless `requests_reset` says longer.
        requests_left: Requests left now.
        requests_reset: Seconds until all requests are back.
        tokens: Tokens allowed a minute.
        tokens_left: Tokens left now.
        tokens_reset: Seconds until all tokens are back.
        at_once: Whether all come back at the reset, as in a window that is fixed; else evenly until then.
        requests_told: The header that tells of `requests_reset`, with its value.
        tokens_told: The header that tells of `tokens_reset`, with its value.
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
        """How long to send nothing, since too little is left for the next request; None where enough is.

        Args:
            tokens: What the next request costs.
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
