"""Every error tvmerge raises on purpose.

* TvmergeError
    * UserError            bad input or a bad environment: one line on stderr, exit code 2
        * ConfigError          a flag, a key of the config file or a combination of them
        * AssetError           a judge, benchmark or prompt file: unknown, unreadable or malformed
        * CheckpointError      a model folder, its tensors or its tokenizer
            * CandidateError       weights that make no model of these sources
        * OutputError          results that cannot be written; they are still printed
        * StudyError           a study that cannot be opened, resumed or updated
        * MissingExtraError    a package of an optional extra is not installed
        * CredentialsError     an API key is missing or was refused
    * ProviderError        a failed request to a judge's provider
        * TransientError       worth retrying; may carry the seconds to wait
        * QuotaError           the account's quota is used up: stop, resume later
        * OutageError          the provider has failed for too long: stop, resume later
        * RequestError         the provider rejects this request; retrying would not help
    * BudgetError          the limit the user set is reached: stop cleanly, resume with a larger one

The message of a `UserError` is one line that says what is wrong, where, and how to fix it. It names settings
by their flags: `--judge-mode` is `judge_mode` in Python.
"""

from __future__ import annotations


class TvmergeError(Exception):
    """Base of all errors raised by tvmerge.

    Attributes:
        sent: For a failed request to a provider, whether the provider may have received it.
        paid: Whether the provider has answered the request that failed, and so bills it.
        unanswered: Whether the provider had the whole request and no answer came, so that it may bill it.
        receipt: Identifies the provider's answer if it came in a batch; empty otherwise.
    """

    sent = True
    paid = False
    unanswered = False
    receipt = ""


class UserError(TvmergeError):
    """Bad input or a bad environment; the command line prints it as one line and exits with 2."""


class ConfigError(UserError):
    """A flag, a key of the config file or a combination of them is invalid."""


class AssetError(UserError):
    """A judge, benchmark or prompt file is unknown, unreadable or malformed."""


class CheckpointError(UserError):
    """A model folder, its tensors, its configuration or its tokenizer is invalid."""


class CandidateError(CheckpointError):
    """A recipe gives no usable model from valid sources; its trial fails, others continue."""


class OutputError(UserError):
    """Results could not be written.

    Attributes:
        result: What could not be written, so that the caller can still show it.
    """

    def __init__(self, message: str, result: object) -> None:
        super().__init__(message)
        self.result = result


class StudyError(UserError):
    """A study cannot be opened, resumed or updated."""


class MissingExtraError(UserError):
    """A package from an optional extra is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"the package '{package}' is not installed; run: pip install 'tvmerge[{extra}]'")
        self.package = package
        self.extra = extra


class CredentialsError(UserError):
    """An API key is missing or was rejected by the provider."""


class ProviderError(TvmergeError):
    """A judge's provider failed. Exceptions of SDKs are translated into this class and its subclasses."""


class TransientError(ProviderError):
    """The request failed, but is worth retrying.

    Attributes:
        retry_after: Seconds the provider asked to wait, or None if it did not say.
        status: The HTTP status, or None for a connection error or a timeout.
        sent: Whether the provider may have received the request; False if no connection was made.
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
    """The provider has failed for longer than the user allows; the run stops and can be resumed."""


class RequestError(ProviderError):
    """The provider rejects this request; sending it again would not help.

    Attributes:
        status: The HTTP status.
        param: The request parameter the provider named, if it named one.
        about_content: Whether the provider rejects the text (a content filter), not the form of the request.
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
    """The user's limit on cost or calls is reached; the run stops and can be resumed."""
