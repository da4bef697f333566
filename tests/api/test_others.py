"""`plan`, `status`, `merge`, `judge` and `load_config`: what they return, and how it prints.

Several modules: the short functions of the Python API, which share a run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import tvmerge
from tests.api.conftest import SMALL, small_flags
from tvmerge.cli.app import run
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.report.terminal.judged import JudgedAnswers


def test_a_plan_prints_what_the_dry_run_prints(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned = tvmerge.plan(tvmerge.testing.demo_config(run_dir=run_dir, **SMALL))
    assert planned.left == 3
    assert run(["demo", "--dry-run", f"--run-dir={run_dir}", *small_flags()]) == 0
    shown, printed = capsys.readouterr().out.splitlines(), str(planned).splitlines()
    assert [line.rstrip() for line in shown if "free" not in line] == [
        line.rstrip() for line in printed if "free" not in line
    ]
    assert not run_dir.exists()


def test_a_status_prints_what_the_command_line_prints(
    finished: tvmerge.RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tvmerge.status(finished.folder)
    assert (found.told, found.held) == (3, False)
    assert run(["status", f"--run-dir={finished.folder}"]) == 0
    assert capsys.readouterr().out.rstrip() == str(found)


def test_weights_of_a_result_make_its_model_again(finished: tvmerge.RunResult, tmp_path: Path) -> None:
    config = tvmerge.testing.demo_config()
    lines: list[str] = []
    folder = tvmerge.merge(tmp_path / "a", config=config, weights=finished.recipe, progress=lines.append)
    assert f"model: {folder}" in lines
    studied = tvmerge.merge(
        tmp_path / "b",
        trial=finished.best.trial,
        storage=f"sqlite:///{finished.folder / 'study.db'}",
        study_name="demo",
    )
    from_file = tvmerge.merge(tmp_path / "c", config=config, weights=finished.folder / "result.json")
    written = (finished.model_folder / "model.safetensors").read_bytes()
    for made in (folder, studied, from_file):
        assert (made / "model.safetensors").read_bytes() == written


def test_no_connection_to_a_study_outlives_a_call(
    run_dir: Path, tmp_path: Path, connections: set[object]
) -> None:
    config = tvmerge.testing.demo_config(run_dir=run_dir, **SMALL | {"n_trials": 2})
    (run_dir / "model").mkdir(parents=True)
    (run_dir / "model" / "mine").touch()
    with pytest.raises(CheckpointError, match="is not empty") as refused:
        tvmerge.optimize(config)
    assert (refused, connections) == (refused, set())  # a traceback keeps what it went through
    (run_dir / "model" / "mine").unlink()
    found = tvmerge.optimize(config)
    assert (tvmerge.status(run_dir).told, tvmerge.plan(config).left) == (2, 0)
    storage = f"sqlite:///{run_dir / 'study.db'}"
    tvmerge.merge(tmp_path / "best", trial="winner", storage=storage, study_name="demo")
    assert (found.folder, connections) == (run_dir, set())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight": 1, "weights": {"norm": 1.0}}, "pass one of --weight, --weights or --trial"),
        ({"weight": 1, "n_trials": 3}, "n_trials: not a setting of a merge"),
        ({"weight": 1}, "missing: --target-model"),
    ],
)
def test_a_merge_that_cannot_be_is_refused(given: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        tvmerge.merge(tmp_path / "m", **given)  # type: ignore[arg-type]


def scores(found: JudgedAnswers) -> list[float]:
    return [rating.score for rating in found.models[0].judgments if isinstance(rating, tvmerge.Rating)]


def test_answers_in_memory_are_rated_as_those_of_a_file(finished: tvmerge.RunResult, tmp_path: Path) -> None:
    file = finished.folder / "model_answer" / "0.jsonl"
    of_file = tvmerge.judge(file, bench_name="demo", judge="rules", turns=1)
    answers = [
        tvmerge.Answer(rating.question_id, (rating.user_prompt.split("answer: ")[1].split("\nreference")[0],))
        for rating in of_file.models[0].judgments
        if isinstance(rating, tvmerge.Rating)
    ]
    found = tvmerge.judge(
        {"0": answers}, bench_name="demo", judge="rules", turns=1, out=tmp_path / "out.jsonl"
    )
    scores = [
        [r.score for r in f.models[0].judgments if isinstance(r, tvmerge.Rating)] for f in (found, of_file)
    ]
    assert len(scores[0]) == len(answers) > 20
    assert scores[0] == scores[1]
    assert "mean ± SE" in str(found)
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == len(answers)


def test_answers_to_other_questions_are_refused() -> None:
    with pytest.raises(tvmerge.TvmergeError, match="model mine: none of its 1 answers"):
        tvmerge.judge({"mine": [tvmerge.Answer("?", ("a",))]}, bench_name="demo", judge="rules")
    with pytest.raises(tvmerge.TvmergeError, match="more turns than"):
        tvmerge.judge({"mine": [tvmerge.Answer(1, ("a", "b", "c"))]}, bench_name="demo", judge="rules")
    with pytest.raises(tvmerge.TvmergeError, match="set bench_name to the one benchmark"):
        tvmerge.judge({"mine": [tvmerge.Answer(1, ("a",))]}, judge="rules")


def test_settings_of_a_file_are_read_and_may_be_overruled(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'target_model = "t"\nbase_model = "b"\ntuned_model = "u"\nbench_name = "demo"\nn_trials = 5\n'
    )
    assert tvmerge.load_config(file).n_trials == 5
    assert tvmerge.load_config(str(file), n_trials=7, judge="rules").judge == ("rules",)
    with pytest.raises(ConfigError, match="unknown setting n_trails"):
        tvmerge.load_config(file, n_trails=7)
