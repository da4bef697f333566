"""Which request parameters a model accepts: a provider's built-in table, overridden by the judge file.

Reasoning models reject parameters that other models need. What the table does not have is learnt from the
provider's errors, which name the parameter in a field or in the message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvmerge.errors import ProviderError, UserError
from tvmerge.judging.client.chat import (
    InvalidRequestError,
    ParameterRefusedError,
    TooLongError,
    UnknownModelError,
)
from tvmerge.judging.spec import JudgeSpec
from tvmerge.judging.wire.http import top_level

MAX_TOKENS = 2048
"""Maximum number of tokens of a judge's reply, as in FastChat."""

THINKING_TOKENS = 16384
"""Maximum number of tokens of a reasoning model's thoughts and reply."""

_STRUCTURED = ("response_format", "output_config", "output_format", "json_schema")
"""Names of parameters that request a JSON schema."""

_LENGTHS = ("max_tokens", "max_completion_tokens")

SYSTEM = "system"
"""The name in `omit_parameters` of messages with the role `system`, or of a parameter of that name."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The parameters that a model accepts.

    Attributes:
        length_parameter: Name of the parameter that limits the reply's length, or None for no limit.
        reasoning: Whether it thinks first, which counts towards the same limit.
        temperature: Whether it accepts a temperature.
        structured: Whether the provider can enforce a JSON schema.
        system: Whether it accepts a system message; if not, that text is put before the user's.
        refused: Length parameters that were rejected.
    """

    length_parameter: str | None = "max_tokens"
    reasoning: bool = False
    temperature: bool = True
    structured: bool = True
    system: bool = True
    refused: frozenset[str] = frozenset()

    def defaults(self) -> dict[str, Any]:
        """The parameters sent unless the judge file sets them."""
        length = THINKING_TOKENS if self.reasoning else MAX_TOKENS
        limit = {} if self.length_parameter is None else {self.length_parameter: length}
        return limit | ({"temperature": 0} if self.temperature else {})

    def without(self, refused: str, parameters: Mapping[str, Any]) -> Capabilities | None:
        """Return the capabilities without a rejected parameter; None if it cannot be left out.

        Args:
            refused: The parameter's name or path, as the provider names it.
            parameters: What the judge file sets; the user's own parameters are never dropped silently.
        """
        name = top_level(refused)
        if name in parameters:
            return None
        if name == self.length_parameter:
            return self._without_length(name)
        if name == "temperature" and self.temperature:
            return replace(self, temperature=False)
        if name in _STRUCTURED and self.structured:
            return replace(self, structured=False)
        if name == SYSTEM and self.system:
            return replace(self, system=False)
        return None

    def _without_length(self, name: str) -> Capabilities:
        refused = self.refused | {name}
        other = next((length for length in _LENGTHS if length not in refused), None)
        return replace(self, length_parameter=other, refused=refused)


Known = Sequence[tuple[re.Pattern[str], Capabilities]]
"""What a provider's models are known to take, the first that is found in a model's name."""

_REFUSING = re.compile(
    r"support|deprecated|unrecogni|unknown|unexpected|invalid"
    r"|not (?:allowed|permitted|accepted|available|valid)|\bonly\b|extra|remove|omit|must|exceed"
    r"|too (?:large|high|low|big)|range|cannot|can't|no longer"
    r"|不支持|无效|非法|仅|サポート|無効|使用できません",
    re.IGNORECASE,
)
_REFUSED_SYSTEM = re.compile(
    r"(?:system|developer)['\"`]? (?:role|message|prompt|instruction)s?\b[^.]*(?:not|n't|unsupported|only)"
    r"|(?:not|n't|unsupported|unknown|invalid|unexpected)\b[^.]*['\"`]?\bsystem\b['\"`]?"
    r"|roles must alternate|only user(?:,| and) assistant",
    re.IGNORECASE,
)


def capabilities(table: Known, model: str, parameters: Iterable[str] = ()) -> Capabilities:
    """What is known of a model; `parameters` that the judge file sets overrule the table."""
    name = model.rsplit("/", 1)[-1]
    known = next((row for pattern, row in table if pattern.search(name)), Capabilities())
    if "max_completion_tokens" in parameters:
        known = replace(known, length_parameter="max_completion_tokens")
    return known


class ModelParameters:
    """Request parameters of one model other than its messages; adapts when the provider refuses one.

    Args:
        spec: The judge.
        table: The parameters that the provider's models are known to accept.
        needed: Parameters that the provider requires.
    """

    def __init__(self, spec: JudgeSpec, table: Known = (), needed: Collection[str] = ()) -> None:
        self._spec = spec
        self._needed = needed
        self._answered: set[str] = set()
        known = capabilities(table, spec.model, spec.parameters)
        self._capabilities = replace(known, system=SYSTEM not in spec.omit_parameters)
        self.values = self._values()
        """The request parameters: defaults that the model accepts, and what the judge file sets."""

    @property
    def structured(self) -> bool:
        """Whether a JSON schema can be sent."""
        stated = self._spec.structured_output
        return self._capabilities.structured if stated is None else stated

    def texts(self, system: str, user: str) -> tuple[str, str]:
        """Return the system message and the user's, joined if the model accepts no system message."""
        if self._capabilities.system or not system:
            return system, user
        return "", f"{system}\n\n{user}"

    def outdated(self) -> Callable[[], bool]:
        """Return a function that says whether a parameter has been dropped since this call."""
        known = self._capabilities
        return lambda: self._capabilities != known

    def answered(self, body: Mapping[str, Any]) -> None:
        """Note that a request with this body was answered, so that its parameters are accepted."""
        self._answered |= _held(body)

    def learn(self, error: ProviderError | UserError, sent: Mapping[str, Any]) -> ProviderError | UserError:
        """Drop the parameter that `error` names, if it does, from all later requests.

        Args:
            error: The provider's refusal of a request.
            sent: The body of the request.

        Returns:
            The error; an `ParameterRefusedError` if the parameter is no longer sent.
        """
        # The limit on the reply can be so high that no prompt fits the context as well.
        learns = (isinstance(error, InvalidRequestError) and not isinstance(error, UnknownModelError)) or (
            isinstance(error, TooLongError) and error.param in _LENGTHS
        )
        if not learns:
            return error
        assert isinstance(error, InvalidRequestError | TooLongError)
        held, said = _held(sent), error.said if isinstance(error, InvalidRequestError) else ""
        for name in named_parameters(error.param or "", said):
            kept = name in self._needed or (name == "structured" and self._spec.structured_output)
            if kept or name not in held or name in self._answered:
                continue
            refused = _STRUCTURED[0] if name == "structured" else name
            reduced = self._capabilities.without(refused, self._spec.parameters)
            if reduced is not None:
                self._capabilities = reduced
                self.values = self._values()
            if reduced is not None or name not in self._held_now():
                length = self._capabilities.length_parameter
                instead = length if name in _LENGTHS and length in self.values else None
                return ParameterRefusedError(
                    str(error), status=error.status, param=name, instead=instead or ""
                )
        return error

    def _held_now(self) -> set[str]:
        """Return the parameters of current requests that can be dropped."""
        known = self._capabilities
        names = {SYSTEM} if known.system else set()
        return _held(self.values) | names | ({"structured"} if self.structured else set())

    def _values(self) -> dict[str, Any]:
        values = {**self._capabilities.defaults(), **self._spec.parameters}
        return {name: value for name, value in values.items() if name not in self._spec.omit_parameters}


def named_parameters(param: str, said: str) -> list[str]:
    """Return the droppable parameters that a refusal names, the most certain first.

    Args:
        param: The parameter in the provider's error field; empty for none.
        said: The provider's message.

    Returns:
        Some of `temperature`, the length parameters, `structured` and `system`; empty if it names none.
    """
    named = top_level(param)
    found = [name for name in ("temperature", *_LENGTHS) if name == named]
    found += ["structured"] if named in _STRUCTURED else []
    if _REFUSED_SYSTEM.search(said):
        found.append(SYSTEM)
    if _REFUSING.search(said):
        words = {
            "temperature": ("temperature",),
            **{name: (name,) for name in _LENGTHS},
            "structured": _STRUCTURED,
        }
        found += [name for name, spellings in words.items() if any(_says(said, word) for word in spellings)]
    return list(dict.fromkeys(found))


def _says(said: str, word: str) -> bool:
    # Not \b, since an adjacent Japanese or Chinese character is a letter too.
    return re.search(rf"(?<![A-Za-z0-9_]){word}(?![A-Za-z0-9_])", said, re.IGNORECASE) is not None


def _held(body: Mapping[str, Any]) -> set[str]:
    """Return the parameters of `body` that can be dropped."""
    held = {name for name in ("temperature", *_LENGTHS) if name in body}
    held |= {"structured"} if any(name in body for name in _STRUCTURED) else set()
    messages = body.get("messages") or [{}]
    return held | ({SYSTEM} if SYSTEM in body or messages[0].get("role") == "system" else set())
