"""Which settings do not apply to which sampler, and which studies it cannot continue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tvmerge.errors import ConfigError, StudyError
from tvmerge.study.make import asks_blocks
from tvmerge.study.storage import StoredStudy

if TYPE_CHECKING:
    from tvmerge.study.settings import SearchConfig


def check_applicable(config: SearchConfig, remark: str) -> str:
    """Refuse settings that do not apply to the sampler that searches.

    Args:
        config: The settings, with that sampler.
        remark: Why it is not the user's; empty if it is.

    Returns:
        What the user should know about the settings; empty if there is nothing.

    Raises:
        ConfigError: A setting does not apply.
    """
    if asks_blocks(config.optuna_sampler):
        return _check_no_races(config.optuna_sampler, config.racing_settings) or remark
    if config.stop_when is not None:
        cure = f"leave it out ({remark})" if remark else "use --optuna-sampler auto, or leave --stop-when out"
        raise ConfigError(
            "--stop-when needs a sampler that estimates what further answers gain, which "
            f"{config.optuna_sampler} does not; {cure}"
        )
    return remark


def check_same_sampler(stored: StoredStudy, sampler: str) -> None:
    """Check that a study was searched by this sampler, before anything else of it is compared.

    Raises:
        StudyError: It was another.
    """
    before = stored.fingerprint.get("optuna_sampler", sampler)
    if before != sampler:
        raise StudyError(
            f"study '{stored.name}' was searched by {before}, and the sampler is now {sampler}; add "
            f"--optuna-sampler {before} to continue it, or --fork NEW_NAME to begin a study with its trials"
        )


def _check_no_races(sampler: str, races: Mapping[str, Any]) -> str:
    """Refuse settings of races, by key, and return how `--racing off` is meant if it is the only one."""
    if races == {"racing": "off"}:
        return (
            f"--racing off changes nothing with --optuna-sampler {sampler}: most candidates answer few "
            "questions; with --optuna-sampler TPE all would answer all"
        )
    if races:
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in races)
        raise ConfigError(
            f"{flags}: candidates do not race with --optuna-sampler {sampler}, which asks those that look "
            "worse no further questions; leave it out, or use --optuna-sampler TPE"
        )
    return ""
