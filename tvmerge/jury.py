"""From settings to whoever judges: one judge or a panel, with cache, ledger and budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.assets import find
from tvmerge.errors import ConfigError
from tvmerge.evaluation.benchmark import Benchmark, load_benchmark
from tvmerge.judging.budget import Budget
from tvmerge.judging.japanese import JapaneseJudge
from tvmerge.judging.ledger import Ledger
from tvmerge.judging.panel import PanelJudge
from tvmerge.judging.prompts import JudgePrompt, load_prompts
from tvmerge.judging.readiness import check_ready
from tvmerge.judging.registry import create_judge, find_spec
from tvmerge.judging.spec import ENDPOINTS, JudgeSpec
from tvmerge.records import Answer, QuestionId

if TYPE_CHECKING:
    from tvmerge.caches import Caches
    from tvmerge.config import JudgeConfig
    from tvmerge.protocols import Judge

Note = Callable[[str], None]
"""Tells the user something in passing."""

DEFAULT_PROMPTS = "judge_prompts"
"""Name of the shipped judge prompts."""

SEQUENTIAL = 1
"""Judgments in flight where neither the user nor the judge's file says: safe with the smallest account."""

RULES_FLOOR = 1.0
"""The lowest rating of the judge `rules`, and of the shipped prompts."""


@dataclass(frozen=True, slots=True)
class Jury:
    """A benchmark and who judges the answers to it.

    Attributes:
        benchmark: The benchmark, with the references that the judges see.
        judge: Who rates.
        ledger: What the judges took.
        baseline: Answers to compare with, by question, to be filled before the first judgment; None where
            answers are rated.
    """

    benchmark: Benchmark
    judge: Judge
    ledger: Ledger
    baseline: dict[QuestionId, Answer] | None


def assemble(config: JudgeConfig, caches: Caches, note: Note, ledger_file: Path | None = None) -> Jury:
    """The jury, ready to be asked.

    Args:
        config: Who judges what, and how.
        caches: Where paid replies are kept.
        note: Tells the user something in passing.
        ledger_file: Where calls are entered; None keeps the accounts in memory only.

    Raises:
        UserError: The benchmark, a judge, a prompt or a key is missing or unsound.
    """
    assets = None if config.assets is None else Path(config.assets)
    specs = _specs(config, assets)
    # A panel is shown one set of references; the first judge's.
    benchmark = load_benchmark(find("benchmarks", config.bench_name, assets))
    benchmark = benchmark.for_judge(specs[0].model or specs[0].name)
    if benchmark.without_reference:
        ids = ", ".join(map(str, benchmark.without_reference[:5]))
        note(f"{len(benchmark.without_reference)} questions are judged without a reference: {ids}")
    for spec in specs:
        check_ready(spec)
    prompts = load_prompts(find("prompts", config.judge_file or DEFAULT_PROMPTS, assets))
    ledger = Ledger(ledger_file)
    budget = Budget(ledger, max_cost=config.max_cost, max_calls=config.max_judge_calls)
    baseline: dict[QuestionId, Answer] | None = {} if config.judge_mode == "pairwise" else None
    judges = [
        create_judge(
            spec,
            prompts,
            benchmark.questions,
            samples=config.judge_samples,
            baseline=baseline,
            cache=caches.judgments,
            ledger=ledger,
            budget=budget,
            concurrency=config.parallel or spec.concurrency or SEQUENTIAL,
            rpm=config.judge_rpm,
            tpm=config.judge_tpm,
            rpd=config.judge_rpd,
            wait_for_quota=config.wait_for_quota,
            patience=config.judge_patience,
            reasks=config.judge_reasks,
        )
        for spec in specs
    ]
    judge = judges[0] if len(judges) == 1 else PanelJudge(judges)
    rules_alone = all(spec.provider == "rules" for spec in specs)
    floor = RULES_FLOOR if rules_alone else lowest_rating(prompts.values())
    return Jury(benchmark, _watch_script(judge, config, benchmark, floor), ledger, baseline)


def _specs(config: JudgeConfig, assets: Path | None) -> list[JudgeSpec]:
    """The judges; of a panel, those on servers are asked at `--judge-base-url`."""
    specs = [find_spec(name, assets=assets) for name in config.judge]
    url = config.judge_base_url
    if url is None:
        return specs
    some_on_servers = any(spec.provider in ENDPOINTS for spec in specs)
    return [spec if some_on_servers and spec.provider not in ENDPOINTS else spec.at(url) for spec in specs]


def lowest_rating(prompts: Iterable[JudgePrompt]) -> float:
    """The low end of the scale that prompts rate on; the shipped prompts' where none rates."""
    return min((prompt.scale[0] for prompt in prompts if prompt.type == "single"), default=RULES_FLOOR)


def _watch_script(judge: Judge, config: JudgeConfig, benchmark: Benchmark, floor: float) -> Judge:
    if config.min_japanese is not None and config.judge_mode == "pairwise":
        raise ConfigError("--min-japanese takes points off ratings; pairwise judging has none")
    return JapaneseJudge(
        judge,
        min_share=config.min_japanese,
        penalty=config.non_japanese_penalty,
        floor=floor,
        exempt=benchmark.settings.japanese_exempt,
    )
