"""Every error tvmerge raises on purpose.

* TvmergeError
    * UserError            bad input or a bad environment: one line on stderr, exit code 2
        * ConfigError          a flag, a key of the config file or a combination of them
        * AssetError           a judge, benchmark or prompt file: unknown, unreadable or malformed
        * CheckpointError      a model folder, its tensors or its tokenizer
            * CandidateError       weights that make no model of these sources
        * OutputError          results that cannot be written; they are shown nevertheless
        * StudyError           a study that cannot be opened, resumed or told
        * MissingExtraError    a package of an optional extra is not installed
        * CredentialsError     an API key is missing or was refused
    * ProviderError        a judge provider's answer, translated at the boundary
        * TransientError       worth another try; may carry the seconds to wait
        * QuotaError           the account's quota is used up: stop, resume later
        * OutageError          the provider has failed for too long: stop, resume later
        * RequestError         the provider refuses this request; another try would not help
    * BudgetError          the limit the user set is reached: stop cleanly, resume with a larger one

The messages of `UserError` are written for the person who reads them: what is wrong, where, and how to
fix it, in one line.
"""

from __future__ import annotations


class TvmergeError(Exception):
    """Base of all errors raised by tvmerge.

    Attributes:
        sent: Where a request to a provider failed, whether the provider may have had it.
        receipt: What the provider's answer is known by, where it came in a batch; else empty.
    """

    sent = True
    receipt = ""


class UserError(TvmergeError):
    """Bad input or a bad environment; the command line prints it as one line and exits with 2."""


class ConfigError(UserError):
    """A flag, a key of the config file or a combination of them is not usable."""


class AssetError(UserError):
    """A judge, benchmark or prompt file is unknown, unreadable or malformed."""


class CheckpointError(UserError):
    """A model folder, its tensors, its configuration or its tokenizer is not usable."""


class CandidateError(CheckpointError):
    """A recipe makes no usable model, though the sources are sound: a trial of it fails, others continue."""


class OutputError(UserError):
    """Results could not be written.

    Attributes:
        result: What was to be written, for whoever shows it.
    """

    def __init__(self, message: str, result: object) -> None:
        super().__init__(message)
        self.result = result


class StudyError(UserError):
    """A study cannot be opened, resumed or told."""


class MissingExtraError(UserError):
    """A package that belongs to an optional extra is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"the package '{package}' is not installed; run: pip install 'tvmerge[{extra}]'")
        self.package = package
        self.extra = extra


class CredentialsError(UserError):
    """An API key is missing, or the provider refused it."""


class ProviderError(TvmergeError):
    """A judge provider failed; foreign exceptions are translated into this family at the boundary."""


class TransientError(ProviderError):
    """Worth another try.

    Attributes:
        retry_after: Seconds the provider asked to wait, or None where it did not say.
        status: The HTTP status, or None for a connection error or a timeout.
        sent: Whether the provider may have had the request; not where no connection was made.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.sent = sent


class QuotaError(ProviderError):
    """The account's quota or credit is used up; the run stops and can be resumed."""


class OutageError(ProviderError):
    """The provider has failed for longer than the user's patience; the run stops and can be resumed."""


class RequestError(ProviderError):
    """The provider refuses this request; sending it again would not help.

    Attributes:
        status: The HTTP status.
        param: The request parameter the provider named, if it named one.
        about_content: True where the provider refuses the text it was given, not the form of the request.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        param: str | None = None,
        about_content: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.about_content = about_content


class BudgetError(TvmergeError):
    """A limit on cost or calls that the user set is reached; the run stops and can be resumed."""
