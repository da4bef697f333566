"""The sampling parameters of a benchmark's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.records import Sampling

if TYPE_CHECKING:
    from tvmerge.engines.settings import AnswerConfig
    from tvmerge.tasks.fastchat.benchmark import Benchmark


def sampling_of(benchmark: Benchmark, config: AnswerConfig, seed: int) -> Sampling:
    """Return the sampling parameters; temperatures in the settings override those of the benchmark.

    Args:
        benchmark: The benchmark, or several as one.
        config: The settings.
        seed: Seed of the answers.

    Raises:
        ConfigError: A temperature is set for a category that the benchmark lacks.
    """
    own = dict(config.temperature or {})
    default = own.pop("default", None)
    categories = {question.category for question in benchmark.questions}
    if unknown := sorted(own.keys() - categories):
        raise ConfigError(
            f"temperature: no question has the category '{unknown[0]}'; there are: "
            f"{', '.join(sorted(categories))}"
        )
    settings = benchmark.settings
    # The default is for all categories that are not named, as in benchmark.toml.
    return Sampling(
        max_new_tokens=config.max_new_tokens,
        max_thinking_tokens=config.max_thinking_tokens,
        temperatures=own if default is not None else {**settings.temperatures, **own},
        default_temperature=settings.default_temperature if default is None else default,
        seed=seed,
        truncate=config.truncate,
    )
