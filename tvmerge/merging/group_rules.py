"""The user's rules for grouping tensors, as checked plain data without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvmerge.errors import ConfigError
from tvmerge.merging.expressions import fault_of
from tvmerge.merging.groupings import GROUPINGS, Grouping


@dataclass(frozen=True, slots=True)
class GroupRules:
    """The rules that decide which tensors share a weight.

    Attributes:
        mode: One of `GROUPINGS`: `all` (one weight per tensor), `layer`, `parameter` (one per kind of
            module), `block` (attention and MLP of each layer), `uniform` (one for everything), `regex`
            (`patterns`), ...
        patterns: For `regex`: (name, regular expression); the first that matches a tensor's name decides.
        layer_granularity: For `layer` and `block`: number of consecutive layers that share a weight.
        knots: For `layer` and `block`: number of knots between which the weights are interpolated.
        freeze: Regular expressions; tensors whose names one of them matches stay unchanged.

    Raises:
        ConfigError: Rules contradict each other, or an expression is not a regular expression.
    """

    mode: str = "layer"
    patterns: tuple[tuple[str, str], ...] = ()
    layer_granularity: int = 1
    knots: int | None = None
    freeze: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        grouping = GROUPINGS.load(self.mode)
        if grouping.patterns and not self.patterns:
            raise ConfigError(f"optimize_mode {self.mode} needs patterns")
        if self.patterns and not grouping.patterns:
            takers = _modes(lambda grouping: grouping.patterns)
            raise ConfigError(f"patterns are for optimize_mode {takers}, not for {self.mode}")
        names = [name for name, _ in self.patterns]
        if not all(names) or len(set(names)) < len(names):
            raise ConfigError(f"each pattern needs a unique name; got {', '.join(map(repr, names))}")
        self._check_layers()
        for expression in (*(expression for _, expression in self.patterns), *self.freeze):
            if fault := fault_of(expression):
                raise ConfigError(f"{expression!r:.200} is not a regular expression: {fault}")

    def _check_layers(self) -> None:
        if self.layer_granularity < 1:
            raise ConfigError(f"layer_granularity must be at least 1, got {self.layer_granularity}")
        if self.knots is not None and self.knots < 2:
            raise ConfigError(f"smooth needs at least 2 knots, got {self.knots}")
        if self.knots is not None and self.layer_granularity > 1:
            raise ConfigError("layer_granularity and smooth are mutually exclusive; set one of them")
        shared = self.knots is not None or self.layer_granularity > 1
        if shared and not GROUPINGS.load(self.mode).by_layer:
            takers = _modes(lambda grouping: grouping.by_layer)
            raise ConfigError(f"layer_granularity and smooth need optimize_mode {takers}, not {self.mode}")


def _modes(fits: Callable[[Grouping], bool]) -> str:
    """The names of the groupings that fit."""
    return " or ".join(name for name in GROUPINGS.names() if fits(GROUPINGS.load(name)))
