"""Combines several benchmarks into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tvmerge.errors import ConfigError
from tvmerge.records import Question
from tvmerge.tasks.fastchat.benchmark import Benchmark
from tvmerge.tasks.fastchat.benchmark_toml import BenchmarkSettings


def combine(benchmarks: Sequence[Benchmark]) -> Benchmark:
    """Return one benchmark with the questions of all, in order; a single one is returned unchanged.

    Ids and categories are prefixed with the name of their benchmark (`demo/7`, `demo/writing`), since two
    benchmarks may use the same name for different things.

    Args:
        benchmarks: At least one benchmark, with the references for the judge.

    Raises:
        ConfigError: Two have the same name.
    """
    if len(benchmarks) == 1:
        return benchmarks[0]
    names = [benchmark.name for benchmark in benchmarks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"benchmark {twice[0]} is named twice; give a weight instead: {twice[0]}=2")
    return Benchmark(
        name=" + ".join(names),
        folder=benchmarks[0].folder,
        questions=tuple(_named(b, question) for b in benchmarks for question in b.questions),
        settings=_settings(benchmarks),
        without_reference=tuple(f"{b.name}/{key}" for b in benchmarks for key in b.without_reference),
        stated=tuple(_named(b, question) for b in benchmarks for question in b.stated),
        references={},
    )


def _named(benchmark: Benchmark, question: Question) -> Question:
    return replace(
        question,
        question_id=f"{benchmark.name}/{question.question_id}",
        category=f"{benchmark.name}/{question.category}",
    )


def _settings(benchmarks: Sequence[Benchmark]) -> BenchmarkSettings:
    """Return the settings by prefixed category; a category without its own temperature gets the default."""
    temperatures = {
        f"{b.name}/{category}": b.settings.temperatures.get(category, b.settings.default_temperature)
        for b in benchmarks
        for category in dict.fromkeys(question.category for question in b.questions)
    }
    return BenchmarkSettings(
        temperatures=temperatures,
        japanese_exempt=tuple(f"{b.name}/{name}" for b in benchmarks for name in b.settings.japanese_exempt),
    )
