"""The error for a quota that will be renewed."""

from __future__ import annotations

from tvmerge.errors import QuotaError


class RenewedQuotaError(QuotaError):
    """The quota is used up until a time given by the provider.

    Attributes:
        retry_after: Seconds until it is renewed.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
