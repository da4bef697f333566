"""Which request parameters a model takes: a table of what is known, overridden by the judge file.

Reasoning models refuse what other models need. What the table does not know is learnt from the provider's
own complaint, once: a refusal names the parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tvmerge.errors import ProviderError, UserError
from tvmerge.judging.chat import FormError, OutdatedError
from tvmerge.judging.spec import JudgeSpec

MAX_TOKENS = 2048
"""Room for a judge's reply, as in FastChat."""

THINKING_TOKENS = 16384
"""Room for a reasoning model's thoughts and reply."""

_STRUCTURED = frozenset({"response_format", "output_config", "output_format"})
"""Parameters that ask for a JSON schema."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What may be asked of a model.

    Attributes:
        length_parameter: Name of the parameter that limits the reply's length.
        reasoning: It thinks first, at the expense of the same limit.
        temperature: It takes a temperature.
        structured: The provider can enforce a JSON schema.
    """

    length_parameter: str = "max_tokens"
    reasoning: bool = False
    temperature: bool = True
    structured: bool = True

    def defaults(self) -> dict[str, Any]:
        """The parameters sent where the judge file does not set them."""
        length = THINKING_TOKENS if self.reasoning else MAX_TOKENS
        return {self.length_parameter: length} | ({"temperature": 0} if self.temperature else {})

    def without(self, refused: str, parameters: Mapping[str, Any]) -> Capabilities | None:
        """What is left when the provider refuses a parameter; None where nothing can be given up.

        Args:
            refused: The parameter's name or path, as the provider names it.
            parameters: What the judge file sets: the user's own parameters are never dropped silently.
        """
        name = _top(refused)
        if name in parameters:
            return None
        if name == "max_tokens" and self.length_parameter == "max_tokens":
            return replace(self, length_parameter="max_completion_tokens")
        if name == "temperature" and self.temperature:
            return replace(self, temperature=False)
        if name in _STRUCTURED and self.structured:
            return replace(self, structured=False)
        return None


_OPENAI = (
    (
        re.compile(r"^(o[1-9]|gpt-([5-9]|[1-9][0-9])|codex)"),
        Capabilities("max_completion_tokens", True, False),
    ),
    (re.compile(r"^(gpt-4(-\d|-turbo|-32k|$)|gpt-3\.5)"), Capabilities(structured=False)),
)
_ANTHROPIC = (
    (re.compile(r"claude-(2|instant|3)"), Capabilities(structured=False)),
    (re.compile(r"claude-[a-z]+-4(-[0-6])?(-[0-9]{8})?$"), Capabilities()),
    (re.compile(r"claude"), Capabilities(reasoning=True, temperature=False)),
)
_TABLES = {"openai": _OPENAI, "anthropic": _ANTHROPIC}


def capabilities(provider: str, model: str, parameters: Iterable[str] = ()) -> Capabilities:
    """What is known of a model; `parameters` that the judge file sets overrule the table."""
    name = model.rsplit("/", 1)[-1]
    rows = _TABLES.get(provider, ())
    known = next((row for pattern, row in rows if pattern.search(name)), Capabilities())
    if "max_completion_tokens" in parameters:
        known = replace(known, length_parameter="max_completion_tokens")
    return known


class ModelParameters:
    """What is sent to one model beside its messages; learns from refusals.

    Args:
        spec: The judge.
    """

    def __init__(self, spec: JudgeSpec) -> None:
        self._spec = spec
        self._capabilities = capabilities(spec.provider, spec.model, spec.parameters)
        self.values = self._values()
        """The request parameters: defaults that the model takes, and whatever the judge file sets."""

    @property
    def structured(self) -> bool:
        """Whether a JSON schema can be sent along."""
        stated = self._spec.structured_output
        return self._capabilities.structured if stated is None else stated

    def learn(self, error: ProviderError | UserError, sent: Mapping[str, Any]) -> ProviderError | UserError:
        """Give up the parameter that `error` complains of, if it does, for all requests to come.

        Args:
            error: How the provider refused a request.
            sent: The body of the request.

        Returns:
            The error; an `OutdatedError` where the parameter is not sent any more.
        """
        if not (isinstance(error, FormError) and error.param):
            return error
        reduced = self._capabilities.without(error.param, self._spec.parameters)
        self._capabilities = reduced or self._capabilities
        self.values = self._values()
        name = _top(error.param)
        if name not in sent or name in self.values or (name in _STRUCTURED and self.structured):
            return error
        return OutdatedError(str(error), status=error.status, param=error.param)

    def _values(self) -> dict[str, Any]:
        values = {**self._capabilities.defaults(), **self._spec.parameters}
        return {name: value for name, value in values.items() if name not in self._spec.omit_parameters}


def _top(parameter: str) -> str:
    """The parameter of the body that a path such as `response_format.json_schema` leads to."""
    return parameter.split(".", maxsplit=1)[0]
