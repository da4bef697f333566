"""The models and questions that ship with tvmerge, for tests and examples."""

from __future__ import annotations

from typing import Any

from tvmerge.config import RunConfig
from tvmerge.config.demo import demo_defaults
from tvmerge.config.values import settings_for


def demo_config(**settings: Any) -> RunConfig:
    """Return the settings of `tvmerge demo`: three tiny models, 240 questions, a rule-based judge.

    Args:
        settings: Fields of `RunConfig` that override those of the demo.

    Examples:
        >>> import tvmerge
        >>> config = tvmerge.testing.demo_config(n_trials=5)
        >>> config.bench_name, config.judge, config.n_trials
        (('demo',), ('rules',), 5)
    """
    return RunConfig(**{**demo_defaults(), **settings_for(RunConfig, settings)})
