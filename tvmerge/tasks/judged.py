"""Builds the judges from the settings: one judge or a panel, with cache, ledger and budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.assets import find
from tvmerge.errors import ConfigError
from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.journal import ReplyJournal, open_journal
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.request_counter import RequestCounter
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.client.shared_journals import open_shared_journal
from tvmerge.judging.client.shared_limits import open_rate_limit_groups
from tvmerge.judging.judges.anchored import Anchor
from tvmerge.judging.judges.japanese import JapaneseJudge
from tvmerge.judging.judges.panel import PanelJudge
from tvmerge.judging.judges.prompted import PromptedJudge
from tvmerge.judging.preflight import check_batched, check_offered, check_ready, check_together
from tvmerge.judging.prompts.kinds import ALL_TURNS
from tvmerge.judging.prompts.prompts import JudgePrompt, load_prompts
from tvmerge.judging.providers import PROVIDERS
from tvmerge.judging.registry import create_judge, find_spec, own_scale
from tvmerge.judging.spec import JudgeSpec
from tvmerge.scoring.objective import Part
from tvmerge.tasks.anchor import anchor_spec
from tvmerge.tasks.base import Note
from tvmerge.tasks.fastchat.benchmark import Benchmark
from tvmerge.tasks.fastchat.combined import combine
from tvmerge.tasks.judged_benchmarks import judged_benchmarks
from tvmerge.tasks.suite import TaskSuite

if TYPE_CHECKING:
    from tvmerge._util.caches import Caches
    from tvmerge.judging.settings import JudgeConfig
    from tvmerge.protocols import Judge

DEFAULT_PROMPTS = "judge_prompts"
"""Name of the shipped judge prompts."""

RULES_SCALE = (1.0, 10.0)
"""Lowest and highest rating of the judge `rules` and of the shipped prompts."""

WIN_RATES = (0.0, 1.0)
"""Lowest and highest score of a comparison."""


def suite_of_benchmarks(
    config: JudgeConfig,
    caches: Caches,
    note: Note,
    ledger_file: Path | None = None,
    *,
    counter: RequestCounter | None = None,
    waiting: Note | None = None,
    batch_folder: Path | None = None,
) -> TaskSuite:
    """Build the suite of the benchmarks and the judges that the settings name.

    Args:
        config: The settings of benchmarks and judges.
        caches: Store paid replies.
        note: Shows the user a note.
        ledger_file: File that records calls; None keeps the records in memory only.
        counter: Counts the requests of the judges instead of sending them, in a dry run.
        waiting: Shows what the run is waiting for, replacing the previous line; by default with `note`.
        batch_folder: Folder that records sent batches, locked by this process; by default next to the ledger.

    Raises:
        UserError: The benchmark, a judge, a prompt or a key is missing or invalid.
    """
    assets = None if config.assets is None else Path(config.assets)
    specs = _specs(config, assets)
    benchmarks = judged_benchmarks(config, specs[0].model or specs[0].name, assets, note)
    benchmark = combine(benchmarks)
    asked = [*specs, *anchor_spec(config, specs, assets)]
    _check_specs(config, asked, reach=counter is None)
    prompts = load_prompts(find("prompts", config.judge_file or DEFAULT_PROMPTS, assets))
    ledger = Ledger(ledger_file)
    compares = config.judge_mode == "pairwise"
    batched = config.judge_batch and counter is None
    batching = _batching(config, batch_folder, ledger_file) if batched else None
    policy = replace(
        _policy(config, ledger),
        cache=caches.judgments,
        journal=None if counter is not None else _journal(ledger_file, caches, ledger),
        counter=counter,
        note=note,
        pauses=Pauses(waiting or _lines(note)),
        batching=batching,
    )
    judges = _judges(config, asked, prompts, benchmark, policy)
    raters, anchors = judges[: len(specs)], judges[len(specs) :]
    judge = raters[0] if len(raters) == 1 else PanelJudge(raters)
    scale = own_scale(asked[len(specs) :] or specs) or rating_scale(_rating_prompts(config, prompts))
    return TaskSuite(
        benchmark=benchmark,
        parts=parts_of(benchmarks, [w for _, w in config.benchmarks], WIN_RATES if compares else scale),
        folders=tuple(b.folder for b in benchmarks),
        specs=tuple(asked),
        rater=watch_script(judge, config, benchmark, scale[0]),
        anchor=_anchor(config, anchors, benchmark, scale[0]),
        ledger=ledger,
        compares=compares,
        on_servers=_on_servers(asked, judges),
        batching=batching,
    )


def _check_specs(config: JudgeConfig, specs: Sequence[JudgeSpec], *, reach: bool) -> None:
    if config.judge_batch:
        check_batched(specs)
    if config.judge_turns == "together":
        check_together(specs)
    for spec in specs:
        check_offered(spec, datetime.now(UTC).date())
        check_ready(spec, reach=reach)


def _on_servers(specs: Sequence[JudgeSpec], judges: Sequence[Judge]) -> tuple[PromptedJudge, ...]:
    """Return the judges that are asked over a network."""
    pairs = zip(specs, judges, strict=True)
    return tuple(judge for spec, judge in pairs if isinstance(judge, PromptedJudge) and spec.on_server)


def _judges(
    config: JudgeConfig,
    specs: Sequence[JudgeSpec],
    prompts: Mapping[str, JudgePrompt],
    benchmark: Benchmark,
    policy: RequestPolicy,
) -> list[Judge]:
    assert policy.ledger is not None, "a run has a ledger"
    groups = open_rate_limit_groups(specs, policy, policy.ledger)
    return [
        _judge(config, spec, prompts, benchmark, replace(policy, rate_limit_group=groups[spec.name]))
        for spec in specs
    ]


def _judge(
    config: JudgeConfig,
    spec: JudgeSpec,
    prompts: Mapping[str, JudgePrompt],
    benchmark: Benchmark,
    policy: RequestPolicy,
) -> Judge:
    return create_judge(
        spec,
        prompts,
        benchmark.questions,
        samples=config.judge_samples,
        compares=config.judge_mode == "pairwise",
        together=config.judge_turns == "together",
        policy=policy,
    )


def _batching(config: JudgeConfig, folder: Path | None, ledger_file: Path | None) -> Batching:
    if folder is None:
        assert ledger_file is not None, "batches are recorded next to the ledger"
        folder = ledger_file.parent
    return Batching(folder, patience=config.judge_batch_patience)


def _journal(ledger_file: Path | None, caches: Caches, ledger: Ledger) -> ReplyJournal:
    """Return the journal beside the ledger, or one in the cache if the ledger is in memory only."""
    if ledger_file is None:
        return open_shared_journal(caches.judgments)
    return open_journal(ledger_file.with_suffix(".journal"), caches.judgments, ledger)


def _policy(config: JudgeConfig, ledger: Ledger) -> RequestPolicy:
    """Return the limits, budget and patience with which the judges are asked."""
    return RequestPolicy(
        ledger=ledger,
        budget=Budget(ledger, max_cost=config.max_cost, max_calls=config.max_judge_calls),
        concurrency=config.parallel,
        rpm=config.judge_rpm,
        tpm=config.judge_tpm,
        rpd=config.judge_rpd,
        wait_for_quota=config.wait_for_quota,
        patience=config.judge_patience,
        reasks=config.judge_reasks,
    )


def judge_memory(specs: Sequence[JudgeSpec]) -> dict[str, int]:
    """Bytes that the weights of judges on this machine will take, by device (`cpu`, `cuda:0`)."""
    found: Counter[str] = Counter()
    for spec in specs:
        if (memory := PROVIDERS.load(spec.provider).memory) is not None:
            import torch

            found.update(memory(spec, torch.cuda.device_count()))
    return dict(found)


def _lines(note: Note) -> Note:
    """Return a function that shows what the run is waiting for as notes."""
    return lambda text: note(text) if text else None


def parts_of(
    benchmarks: Sequence[Benchmark], weights: Sequence[float], scale: tuple[float, float]
) -> tuple[Part, ...]:
    """Return each benchmark's part in the objective, from its weight and the scale of its scores."""
    low, high = scale
    several = len(benchmarks) > 1
    return tuple(
        Part(
            name=benchmark.name,
            # With several benchmarks, ids begin with the benchmark's name (`combine`).
            questions=frozenset(
                f"{benchmark.name}/{question.question_id}" if several else question.question_id
                for question in benchmark.questions
            ),
            weight=weight,
            floor=low,
            ceiling=high,
        )
        for benchmark, weight in zip(benchmarks, weights, strict=True)
    )


def _specs(config: JudgeConfig, assets: Path | None) -> list[JudgeSpec]:
    """Return the judges; those of a panel that are on servers use `--judge-base-url`."""
    specs = [find_spec(name, assets=assets) for name in config.judge]
    url = config.judge_base_url
    if url is None:
        return specs
    some_on_servers = any(spec.on_server for spec in specs)
    return [spec if some_on_servers and not spec.on_server else spec.at(url) for spec in specs]


def _rating_prompts(config: JudgeConfig, prompts: Mapping[str, JudgePrompt]) -> Iterable[JudgePrompt]:
    """Return the prompts for all turns together, or else the others."""
    together = config.judge_turns == "together"
    return (prompt for name, prompt in prompts.items() if name.endswith(ALL_TURNS) == together)


def _anchor(
    config: JudgeConfig, judges: Sequence[Judge], benchmark: Benchmark, floor: float
) -> Anchor | None:
    if config.anchor is None:
        return None
    _, fraction = config.anchor
    (judge,) = judges
    return Anchor(watch_script(judge, config, benchmark, floor), fraction)


def rating_scale(prompts: Iterable[JudgePrompt]) -> tuple[float, float]:
    """Return the lowest and highest rating of all prompts, or the rules' scale if no prompt rates."""
    scales = [prompt.scale for prompt in prompts if prompt.type == "single"]
    if not scales:
        return RULES_SCALE
    return min(low for low, _ in scales), max(high for _, high in scales)


def watch_script(judge: Judge, config: JudgeConfig, benchmark: Benchmark, floor: float) -> Judge:
    """Wrap a judge so that it measures the fraction of Japanese script in answers.

    Raises:
        ConfigError: A penalty is set, but answers are not rated.
    """
    if config.min_japanese is not None and config.judge_mode == "pairwise":
        raise ConfigError("--min-japanese subtracts points from ratings, and pairwise judging has none")
    return JapaneseJudge(
        judge,
        min_share=config.min_japanese,
        penalty=config.non_japanese_penalty,
        floor=floor,
        exempt=benchmark.settings.japanese_exempt,
    )
