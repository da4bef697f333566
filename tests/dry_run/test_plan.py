"""`optimize --dry-run`: what a run would take, against what it takes; nothing is asked, loaded or written."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from docs.run_24gb import write_headers
from tests import ready
from tests.merging.hub import hub
from tests.servers import scoring
from tests.servers.openai_server import OpenAIServer
from tests.small_runs import small_run
from tests.tasks.lm_eval.tiny import write_jglue
from tvmerge.cli.app import run
from tvmerge.config import RunConfig
from tvmerge.dry_run.calls import likely_of, most_of
from tvmerge.dry_run.plan import plan_run
from tvmerge.dry_run.text import RunPlan, TrialSize
from tvmerge.errors import CheckpointError, CredentialsError, StudyError
from tvmerge.run.optimize import optimize

SEARCHED = 6
HELD_OUT = 4

Configure = Callable[..., RunConfig]


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Two-turn questions, answered at a temperature at which candidates rarely say the same."""
    folder = tmp_path / "bench"
    folder.mkdir()
    rows = [
        {
            "question_id": i,
            "category": "writing",
            "turns": [f"{i}たす2は？", "3たす4は？"],
            "split": "holdout" if i < HELD_OUT else "search",
        }
        for i in range(HELD_OUT + SEARCHED)
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "question.jsonl").write_text(text, encoding="utf-8")
    (folder / "benchmark.toml").write_text("[temperature]\ndefault = 2.0\n", encoding="utf-8")
    return folder


@pytest.fixture
def configure(bench: Path, demo_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Settings of a small run."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    judge = tmp_path / "priced.toml"
    judge.write_text(
        'provider = "openai"\nmodel = "m"\nprice_input = 30\nprice_output = 60\n', encoding="utf-8"
    )
    usual = small_run(demo_models, bench, str(judge), tmp_path, n_trials=5, max_new_tokens=24)
    return lambda **settings: RunConfig(**usual | settings)


def plan(config: RunConfig) -> RunPlan:
    return asyncio.run(plan_run(config, lambda line: None))


def calls_of(planned: RunPlan) -> list[int]:
    """The most calls of each judge in each stage."""
    return [row.most.calls for row in planned.calls]


def hits(config: RunConfig) -> int:
    """Replies that a finished run found in the cache."""
    result = json.loads((config.run_folder / "result.json").read_text(encoding="utf-8"))
    return sum(row["cache_hits"] for row in result["judging"]["usage"])


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: when it was changed, and its content; not SQLite's list of readers."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }


def asked(server: OpenAIServer) -> int:
    return sum(request.method == "POST" for request in server.requests)


def test_a_run_without_races_asks_exactly_what_its_plan_says(configure: Configure) -> None:
    with OpenAIServer() as server:
        config = configure(judge_base_url=server.base_url)
        planned = plan(config)
        assert server.requests == []
        found = asyncio.run(optimize(config))
        # A winner that is its own baseline answers once.
        spared = 3 - len({contender.trial for contender in found.contenders})
        assert asked(server) + hits(config) == most_of(planned.calls).calls - spared * 2 * 2
    checked, searched, compared = planned.calls
    assert (checked.most.calls, searched.most.calls, compared.most.calls) == (
        1,
        5 * SEARCHED * 2,
        (3 * 2 + 3 * 2) * 2,
    )
    assert planned.answers == 5 * SEARCHED + 3 * 2 + 3 * 2
    assert planned.stored is None


def verdict(user_prompt: str) -> str:
    return f"[[{'ABC'[scoring.rating(user_prompt) % 3]}]]"


@pytest.mark.parametrize(
    "settings",
    [
        {"racing": "wilcoxon", "racing_min_questions": 2, "racing_batch": 1, "racing_p": 0.5},
        {"judge_mode": "pairwise", "n_trials": 3},
    ],
    ids=["races", "pairs"],
)
def test_no_run_asks_more_than_its_plan_says(configure: Configure, settings: dict[str, Any]) -> None:
    with OpenAIServer(reply=verdict if "judge_mode" in settings else scoring.reply) as server:
        config = configure(judge_base_url=server.base_url, **settings)
        planned = most_of(plan(config).calls).calls
        asyncio.run(optimize(config))
        assert 0 < asked(server) <= planned


def test_a_plan_of_a_study_tells_what_is_left_of_it_and_changes_nothing(
    configure: Configure, tmp_path: Path
) -> None:
    with OpenAIServer() as server:
        judged = {"judge_base_url": server.base_url}
        asyncio.run(optimize(configure(n_trials=3, **judged)))
        gc.collect()  # the run's connections, which write to the database when they close
        before, paid = tree(tmp_path), asked(server)
        over, longer = (plan(configure(n_trials=n, **judged)) for n in (3, 5))
        assert tree(tmp_path) == before
        assert asked(server) == paid
        assert (over.told, over.left) == (3, 0)
        assert "too few to say" in over.evidence[0]
        assert (longer.told, longer.left) == (3, 2)
        # Four held-out questions are too few to choose on, so the winner is known, and all is stored.
        assert [row.most.calls for row in over.calls] == [0, 0]  # nor is the test answer asked about again
        assert over.stored == (3 * 4, 3 * 4 * 2)
        again = configure(n_trials=5, **judged)
        asyncio.run(optimize(again))
        assert asked(server) - paid <= most_of(longer.calls).calls


def test_a_plan_says_how_many_questions_a_verdict_would_need(configure: Configure) -> None:
    (few,) = plan(configure()).evidence
    assert few.startswith("warning: 4 held-out questions are too few to say whether the winner is better")
    assert "to see a gain of 0.5 in 80% of runs, about 128 are needed" in few
    assert "standard deviation of 2 by question, as assumed" in few
    assert few in str(plan(configure()))
    (none,) = plan(configure(holdout=0.0)).evidence
    assert none.startswith("warning: no questions are held out")


def test_a_plan_without_a_study_leaves_no_trace(configure: Configure, tmp_path: Path) -> None:
    cache = Path(os.environ["TVMERGE_CACHE_DIR"])
    before = tree(tmp_path)
    assert plan(configure()).left == 5
    assert tree(tmp_path) == before
    assert not (tmp_path / "run").exists()
    assert not cache.exists()


def test_panels_samples_and_pairs_multiply_the_calls(configure: Configure, tmp_path: Path) -> None:
    def calls(**settings: Any) -> list[int]:
        return calls_of(plan(configure(**settings)))

    one = calls()
    assert one[0] == 1
    assert calls(no_judge_check=True) == one[1:]
    assert calls(judge_samples=3) == [1, *(3 * n for n in one[1:])]
    assert calls(judge_mode="pairwise") == [1, *(2 * n for n in one[1:])]
    assert calls(judge_turns="together") == [1, *(n // 2 for n in one[1:])]
    assert calls(judge=(str(tmp_path / "priced.toml"), "gpt-6-luna")) == one + one
    assert calls(confirm_samples=2) == [1, one[1], 2 * one[2]]
    assert calls(judge=("rules",)) == []


def test_costs_come_from_the_judges_file_or_are_not_known(configure: Configure, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('provider = "openai"\nmodel = "m"\n', encoding="utf-8")
    planned = plan(configure(judge=(str(file), str(tmp_path / "priced.toml"))))
    unpriced, priced = (row for row in planned.calls if row.stage == "search")
    assert unpriced.most.cost is None
    assert "unknown" in planned.prices["mine"]
    assert priced.most.cost == pytest.approx(
        (priced.most.input_tokens * 30 + priced.most.output_tokens * 60) / 1e6
    )
    assert most_of(planned.calls).cost is None


def test_tasks_that_rate_themselves_cost_no_calls(configure: Configure, tmp_path: Path) -> None:
    judged = plan(configure())
    both = plan(configure(jglue_data=str(write_jglue(tmp_path / "jglue", 12)), jglue_tasks=("jnli",)))
    assert both.trial.calls == judged.trial.calls
    assert both.trial.questions > judged.trial.questions


def test_a_longer_answer_costs_the_judge_as_many_tokens_more(configure: Configure) -> None:
    short, long = (plan(configure(max_new_tokens=n)).calls[1].most for n in (24, 124))
    # A prompt of the second turn shows two answers.
    assert long.input_tokens - short.input_tokens == 5 * SEARCHED * (1 + 2) * 100
    assert long.output_tokens == short.output_tokens


def test_a_race_shortens_a_trial_at_its_first_interim_check(configure: Configure) -> None:
    planned = plan(configure(racing="wilcoxon", racing_min_questions=3, racing_batch=2))
    assert planned.trial == TrialSize(SEARCHED, 2 * SEARCHED, 2 * SEARCHED)
    assert planned.earliest_stop == TrialSize(4, 8, 8)
    assert plan(configure(racing="off")).earliest_stop is None


def test_baselines_that_no_trial_is_left_for_and_the_best_of_other_uniform_weights_are_counted(
    configure: Configure,
) -> None:
    """The fourth and fifth of five trials are weights 1 and 0; of three, they are none."""
    five, three = (
        plan(configure(uniform_weights=(0.5, 0.25, 0.75), n_trials=n)).calls[2].most for n in (5, 3)
    )
    both = plan(configure()).calls[2].most
    assert five.calls == both.calls + 2 * 2 * 2
    assert three.calls == five.calls + 2 * SEARCHED * 2


def test_what_will_stop_a_run_is_foretold(configure: Configure) -> None:
    planned = plan(configure(max_judge_calls=3, max_cost=0.01))
    assert [line.split()[0] for line in planned.warnings] == ["--max-judge-calls", "--max-cost"]
    assert plan(configure(max_judge_calls=1000)).warnings == ()


def test_a_limit_that_is_below_the_likely_cost_is_likely_to_be_used_up(configure: Configure) -> None:
    usual = likely_of(plan(configure()).calls)
    assert usual.cost is not None
    below, above = (plan(configure(max_cost=share * usual.cost)).warnings for share in (0.9, 1.1))
    assert "is likely to be used up" in below[0]
    assert "may be used up" in above[0]


def test_likely_calls_are_fewer_than_possible_ones_if_races_stop_trials(configure: Configure) -> None:
    planned = plan(configure(racing="wilcoxon", racing_min_questions=3, racing_batch=2))
    search = planned.calls[1]
    assert search.likely.calls == round(0.4 * search.most.calls)
    assert planned.likely_answers < planned.answers
    assert "40% of their questions" in planned.likely
    without = plan(configure()).calls[1]
    assert without.likely.calls == without.most.calls
    assert without.likely.input_tokens < without.most.input_tokens


def test_a_study_says_how_long_its_answers_and_its_judges_replies_are(configure: Configure) -> None:
    with OpenAIServer() as server:
        judged = {"judge_base_url": server.base_url}
        assert "assumed" in plan(configure(**judged)).likely
        asyncio.run(optimize(configure(n_trials=3, **judged)))
        longer = plan(configure(n_trials=8, **judged))
    ledger = [json.loads(line) for line in (configure().run_folder / "ledger.jsonl").read_text().splitlines()]
    search = longer.calls[0] if longer.calls[0].stage == "search" else longer.calls[1]
    mean = round(sum(row["input"] for row in ledger) / len(ledger))
    assert search.likely.input_tokens == mean * search.likely.calls
    assert "stored answers" in longer.likely
    assert "calls as long as those so far of priced" in longer.likely


def test_a_quota_per_day_is_told_in_days(configure: Configure) -> None:
    planned = plan(configure(judge_rpd=20))
    calls = likely_of(planned.calls).calls
    assert any(f"{-(-calls // 20)} days at 20 requests a day" in line for line in planned.times)
    assert any("requests a minute" in line for line in plan(configure(judge_rpm=20)).times)
    assert not any("quota" in line for line in plan(configure()).times)


def test_a_mixture_is_planned_without_running_a_model_for_its_routers(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", loaded)
    target = configure().target_model[0]
    experts = ({"positive": ("1",)}, {"positive": ("2",)})
    planned = plan(configure(target_model=(target, target), gate="hidden", experts=experts))
    assert {name.split("/")[0] for name in planned.weights} == {"experts.0", "experts.1"}
    assert planned.model_bytes > plan(configure()).model_bytes


def test_a_model_of_the_hub_is_not_downloaded_for_a_plan(
    configure: Configure, demo_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({"owner/model": demo_models / "target"}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        config = configure(target_model=("owner/model",), cache_dir=str(tmp_path / "hub"))
        with pytest.raises(CheckpointError, match="hf download owner/model --revision"):
            plan(config)
        assert "config.json" in served.downloads
        assert "model.safetensors" not in served.downloads


def test_a_server_need_not_listen_yet_and_a_key_must_be_there(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan(configure(judge_base_url="http://127.0.0.1:9/v1")).calls
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(CredentialsError, match="OPENAI_API_KEY"):
        plan(configure())


def test_a_study_with_other_settings_is_refused(configure: Configure) -> None:
    rules = ("rules",)
    asyncio.run(optimize(configure(n_trials=1, judge=rules)))
    with pytest.raises(StudyError, match="max_new_tokens was 24, is 25"):
        plan(configure(n_trials=1, judge=rules, max_new_tokens=25))


def with_its_peak(argv: list[str]) -> None:
    """A command in a process of its own, and then the most memory that it had in use, in kB."""
    code = run(argv)
    # Its rusage would hold what its parent had when it forked.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    sys.stdout.write(re.findall(r"VmHWM:\s+(\d+)", status)[0])
    raise SystemExit(code)


def test_large_models_are_planned_from_their_headers(
    configure: Configure, demo_models: Path, tmp_path: Path
) -> None:
    models = {role: tmp_path / role for role in ("target", "base", "tuned")}
    for folder in models.values():
        write_headers(folder, {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 2})
    argv = ["optimize", "--dry-run", "--bench-name=demo", "--judge=rules"]
    argv += [f"--{role}-model={folder}" for role, folder in models.items()]
    done = ready.call(tmp_path / "logs", with_its_peak, argv)
    assert done.returncode == 0, done.stderr
    screen = done.stdout
    assert "unknown, because no run has used these models yet" in screen  # they were not read
    peak = int(screen.splitlines()[-1]) * 1024
    assert peak < 0.9e9  # of which the libraries take 0.6; one model would take 0.5


def test_models_that_do_not_fit_into_memory_are_refused_after_the_plan_is_shown(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvmerge.engines.transformers.memory.free_memory", lambda device: 1000)
    (refusal,) = plan(configure()).refusals
    assert refusal.startswith("target needs about 3.5 MiB on cpu")
