"""Finds the judge that rates a sample of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.judging.registry import find_spec, identity_of
from tvmerge.judging.spec import JudgeSpec

if TYPE_CHECKING:
    from tvmerge.judging.settings import JudgeConfig


def anchor_spec(config: JudgeConfig, specs: Sequence[JudgeSpec], assets: Path | None) -> list[JudgeSpec]:
    """Return the judge that rates a sample; nothing without one.

    Args:
        config: The settings of the judges.
        specs: The judges that rate everything.
        assets: The user's folder with `judges/` inside.

    Raises:
        ConfigError: It is one of the judges that rate everything, or has the name of one.
    """
    if config.anchor is None:
        return []
    name, _ = config.anchor
    spec = _at_url(find_spec(name, assets=assets), config.judge_base_url)
    for other in specs:
        if identity_of(other) == identity_of(spec):
            raise ConfigError(f"--judge-anchor: {name} is the judge '{other.name}' itself; name another")
        if other.name == spec.name:
            raise ConfigError(
                f"--judge-anchor: two judges are called '{spec.name}', so ratings cannot be told apart; "
                "give one a judge file with another name"
            )
    return [spec]


def _at_url(spec: JudgeSpec, url: str | None) -> JudgeSpec:
    """Return the judge at `--judge-base-url`, unless it is not on a server."""
    return spec if url is None or not spec.on_server else spec.at(url)
