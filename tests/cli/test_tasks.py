"""Studies on tasks of lm-evaluation-harness, from the command to the files they leave.

Several modules: a whole run.
"""

from __future__ import annotations

import math
import sys
from functools import partial
from pathlib import Path

import optuna
import pytest

from tests.cli.test_errors import fails
from tests.tasks.lm_eval.tiny import metric, write_jglue, write_task
from tvmerge.cli.app import run
from tvmerge.config import RunConfig
from tvmerge.records import Rating
from tvmerge.tasks.fastchat.files import read_judgments
from tvmerge.tasks.lm_eval.open import open_tasks

REAL = Path(__file__).resolve().parents[3] / "shared" / "jglue"
"""JGLUE as it is published, where this machine has it."""


def flags(models: Path, folder: Path, *more: str) -> list[str]:
    own = [f"--{role}-model={models / role}" for role in ("target", "base", "tuned")]
    return ["optimize", *own, f"--run-dir={folder / 'run'}", "--n-trials=3", *more]


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    url = f"sqlite:///{folder / 'run' / 'study.db'}"
    return optuna.load_study(study_name=None, storage=url).trials


def scores_of(folder: Path, trial: int, prompt: str) -> list[float]:
    rows = read_judgments(folder / "run" / "model_judgment" / "lm-eval_single.jsonl")
    return [
        judgment.score
        for model, judgment in rows
        if model == str(trial) and judgment.prompt == prompt and isinstance(judgment, Rating)
    ]


def test_a_study_over_jglue_needs_no_judge_and_keeps_the_scores_of_each_task(
    demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jglue = write_jglue(tmp_path / "jglue", 14)
    tasks = "--jglue-tasks=jcommonsenseqa=3,jnli-1.3-0.2=1"
    more = [
        tasks,
        f"--jglue-data={jglue}",
        "--num-fewshot=1,2",
        "--jglue-limit=11,10",
        "--optuna-sampler=TPE",
    ]
    assert run(flags(demo_models, tmp_path, *more)) == 0
    assert "rated by lm-eval" in capsys.readouterr().out
    for trial in trials_of(tmp_path):
        parts = trial.user_attrs["parts"]
        choice, pairs = (parts[f"ja_leaderboard_{name}"] for name in ("jcommonsenseqa", "jnli"))
        assert trial.value == pytest.approx(0.75 * choice + 0.25 * pairs)
        scores = scores_of(tmp_path, trial.number, "ja_leaderboard_jcommonsenseqa:acc")
        assert choice == pytest.approx(sum(scores) / len(scores))
    # 14 less an example, of which 11 are asked and 30% held out.
    assert len(scores_of(tmp_path, 0, "ja_leaderboard_jcommonsenseqa:acc")) == 8


def test_a_task_and_a_judged_benchmark_are_weighed_together(demo_models: Path, tmp_path: Path) -> None:
    jglue = write_jglue(tmp_path / "jglue", 12)
    more = [
        "--bench-name=demo=0.25",
        "--judge=rules",
        "--max-new-tokens=4",
        "--optuna-sampler=TPE",
        "--racing=off",
        "--n-trials=2",
    ]
    more += [f"--jglue-data={jglue}", "--jglue-tasks=jnli=0.75"]
    assert run(flags(demo_models, tmp_path, *more)) == 0
    for trial in trials_of(tmp_path):
        parts = trial.user_attrs["parts"]
        assert set(parts) == {"demo", "ja_leaderboard_jnli"}
        expected = 0.25 * (parts["demo"] - 1) / 9 + 0.75 * parts["ja_leaderboard_jnli"]
        assert trial.value == pytest.approx(expected)


def test_a_task_of_ones_own_that_is_no_mean_over_documents_is_scored_whole(
    demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": f"日本の首都は{n}？", "answer": "東京"} for n in range(8)]
    write_task(
        tmp_path / "tasks",
        "capital",
        rows,
        output_type="loglikelihood",
        doc_to_text="{{text}}",
        doc_to_target="answer",
        metric_list=[metric("acc"), metric("perplexity", "perplexity", higher_is_better=False)],
    )
    more = ["--tasks=capital:perplexity", f"--task-path={tmp_path / 'tasks'}", "--holdout=0"]
    assert run(flags(demo_models, tmp_path, *more)) == 0
    assert "capital is scored over all its documents at once" in capsys.readouterr().err
    for trial in trials_of(tmp_path):
        alone = scores_of(tmp_path, trial.number, "capital:perplexity")
        # Perplexity is the geometric mean of the documents' own, turned so that more is better.
        assert trial.value == pytest.approx(-math.exp(sum(math.log(-score) for score in alone) / 8))
        assert trial.user_attrs["se"] is None


def test_jglue_alone_is_what_the_original_scripts_ask(
    demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [
        f"--jglue-data={write_jglue(tmp_path / 'jglue', 12)}",
        "--n-trials=1",
        "--holdout=0",
        "--optuna-sampler=TPE",
    ]
    assert run(flags(demo_models, tmp_path, *more)) == 0
    told = capsys.readouterr().err.replace("\n", " ")
    assert "with 3 examples each" in told
    assert "jcommonsenseqa-1.1-0.3, jnli-1.3-0.2, jsquad-1.1-0.2" in told
    assert "has no file of marc_ja" in told
    assert "at most 500 documents of each of JGLUE's tasks are asked" in told
    assert len(scores_of(tmp_path, 0, "ja_leaderboard_jsquad:exact_match")) == 12 - 3
    assert run(flags(demo_models, tmp_path, *more, "--jglue-limit=0")) == 0
    assert "at most 500" not in capsys.readouterr().err


def test_at_most_500_documents_of_jglues_tasks_are_asked_unless_told_otherwise(tmp_path: Path) -> None:
    folder = str(write_jglue(tmp_path / "jglue", 510))
    notes: list[str] = []
    config = partial(RunConfig, target_model=("t",), base_model="b", tuned_model="u", jglue_data=folder)
    for limit, asked in (((), 500), ((0,), 507)):
        tasks = open_tasks(config(jglue_tasks=("jnli",), jglue_limit=limit), notes.append)
        assert len(tasks.questions) == asked
    assert len(notes) == 1


def test_a_study_is_not_continued_with_another_way_to_write_prompts(
    demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [
        f"--jglue-data={write_jglue(tmp_path / 'jglue', 8)}",
        "--jglue-tasks=jnli,jsquad",
        "--study-name=s",
    ]
    more += ["--n-trials=1", "--holdout=0", "--num-fewshot=1", "--apply-chat-template"]
    assert run(flags(demo_models, tmp_path, *more)) == 0
    assert run(flags(demo_models, tmp_path, *more, "--fewshot-as-multiturn")) == 0
    capsys.readouterr()
    assert "judge" in fails(flags(demo_models, tmp_path, *more[:-1]), capsys)
    assert "judge" in fails(flags(demo_models, tmp_path, *more, "--fewshot-as-multiturn=false"), capsys)
    assert run(flags(demo_models, tmp_path, *more, "--system-instruction=短く。")) == 0
    # Then nothing is asked otherwise.
    assert "prompts of tasks are sent without their system message" in capsys.readouterr().err.replace(
        "\n", " "
    )


def test_another_task_or_limit_is_another_study(
    demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jglue = write_jglue(tmp_path / "jglue", 12)
    same = [f"--jglue-data={jglue}", "--jglue-tasks=jnli", "--study-name=s", "--n-trials=1", "--holdout=0"]
    assert run(flags(demo_models, tmp_path, *same)) == 0
    assert run(flags(demo_models, tmp_path, *same)) == 0
    assert "judge" in fails(flags(demo_models, tmp_path, *same, "--num-fewshot=1"), capsys)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], "nothing to ask: set --bench-name, --tasks, --jglue-tasks or --jglue-data"),
        (["--jglue-tasks=jnil"], "JGLUE has no task 'jnil'; did you mean jnli?"),
        (
            ["--jglue-tasks=jnli,jsquad", "--jglue-limit=1,2,3"],
            "--jglue-limit takes one number, or one per task",
        ),
        (["--jglue-tasks=jnli", "--task-limit=9"], "--task-limit is set without a task that it applies to"),
        (
            ["--tasks=ja_leaderboard_jnli", "--jglue-limit=9"],
            "--jglue-limit is set without a task that it applies to",
        ),
        (["--jglue-tasks=jnli:f1"], "task 'ja_leaderboard_jnli' has no metric 'f1'; it has: acc"),
        (["--jglue-tasks=jnli,ja_leaderboard_jnli"], "the task 'ja_leaderboard_jnli' is named twice"),
        (["--jglue-tasks=marc_ja"], "MARC-ja is no longer distributed, leave it out"),
        (["--jglue-tasks=jnli", "--fewshot-as-multiturn"], "pass --apply-chat-template as well"),
        (["--jglue-tasks=jnli=0"], "the weight of jnli must be larger than 0"),
        (["--jglue-tasks=jnli", "--num-fewshot=12"], "are not enough for 12 examples and a question"),
    ],
)
def test_bad_input_is_told_in_one_line_before_a_model_is_looked_at(
    more: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if more:
        more = [*more, f"--jglue-data={write_jglue(tmp_path / 'jglue')}"]
    assert expected in fails(flags(tmp_path / "no models", tmp_path, *more), capsys)


@pytest.mark.skipif(not REAL.is_dir(), reason="JGLUE's files are not on this machine")
def test_a_study_over_the_real_jglue_runs_from_end_to_end(demo_models: Path, tmp_path: Path) -> None:
    more = [f"--jglue-data={REAL}", "--jglue-limit=8", "--num-fewshot=0", "--n-trials=2", "--holdout=0.5"]
    more += ["--optuna-sampler=TPE", "--racing=off"]
    assert run(flags(demo_models, tmp_path, *more)) == 0
    parts = trials_of(tmp_path)[0].user_attrs["parts"]
    assert set(parts) == {f"ja_leaderboard_{name}" for name in ("jcommonsenseqa", "jnli", "jsquad")}
    assert all(0 <= score <= 1 for score in parts.values())


def test_without_lm_eval_the_line_to_type_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    for name in [name for name in sys.modules if name.startswith("tvmerge.tasks.lm_eval.")]:
        monkeypatch.delitem(sys.modules, name)
    error = fails(flags(tmp_path, tmp_path, "--jglue-tasks=jnli"), capsys)
    assert error.endswith("the package 'lm_eval' is not installed; run: pip install 'tvmerge[harness]'")
