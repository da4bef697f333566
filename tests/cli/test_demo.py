"""The demo, from the command to the files it leaves.

Several modules: a whole run.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tvmerge.cli.app import run
from tvmerge.records import Rating
from tvmerge.tasks.fastchat.benchmark import load_benchmark
from tvmerge.tasks.fastchat.files import read_answers, read_judgments
from tvmerge.testing.models import plain_answer

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "demo"


@dataclass(frozen=True)
class Finished:
    """A finished demo: where it is, what it printed, what it found."""

    folder: Path
    screen: str
    result: dict[str, Any]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The whole demo, as `make demo` runs it."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TVMERGE_CACHE_DIR", str(folder / "cache"))
        screen = io.StringIO()
        with contextlib.redirect_stdout(screen):
            assert run(["demo", f"--run-dir={folder / 'run'}"]) == 0
    result = json.loads((folder / "run" / "result.json").read_text(encoding="utf-8"))
    return Finished(folder / "run", screen.getvalue(), result)


def stored_study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="demo", storage=f"sqlite:///{folder / 'study.db'}")


def scores_by_model(folder: Path) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {}
    for model, judgment in read_judgments(folder / "model_judgment" / "rules_single.jsonl"):
        assert isinstance(judgment, Rating)
        scores.setdefault(model, []).append(judgment.score)
    return scores


def test_the_best_beats_both_baselines_by_a_point_on_questions_the_search_never_saw(demo: Finished) -> None:
    told = demo.result["trials"]
    assert told["complete"] == 3
    assert told["estimated"] >= 100
    asked = [trial.user_attrs["questions"] for trial in stored_study(demo.folder).trials]
    assert 8 * 120 <= sum(asked) < 9 * 120
    for baseline in ("weight_0", "weight_1"):
        gain = demo.result["gain"][baseline]
        assert gain["difference"] >= 1.0
        assert gain["low"] > 0
        assert gain["n"] >= 60
    for half in ("search", "holdout"):
        assert {"best", "weight_0", "weight_1"} <= set(demo.result[half])
        assert all({"mean", "se", "n"} <= set(row) for row in demo.result[half].values())


def test_the_screen_ends_with_the_table(demo: Finished) -> None:
    for label in ("weight 0", "weight 1", "best uniform weight", "winner (trial "):
        assert label in demo.screen
    best = demo.result["holdout"]["best"]
    assert f"{best['mean']:.2f} ± {best['se']:.2f}" in demo.screen


def test_the_saved_model_is_target_plus_weight_times_task_vector(demo: Finished, demo_models: Path) -> None:
    weights = stored_study(demo.folder).trials[demo.result["best_trial"]].params
    target, base, tuned, saved = (
        load_file(folder / "model.safetensors")
        for folder in (*(demo_models / r for r in ("target", "base", "tuned")), demo.folder / "model")
    )
    groups = {
        "model.embed_tokens": "embeddings",
        "model.norm": "norm",
        "lm_head": "head",
    }
    exact = total = 0
    for name, tensor in target.items():
        group = groups.get(name.removesuffix(".weight")) or ".".join(name.split(".")[1:3])
        merged = tensor.float() + weights[group] * (tuned[name].float() - base[name].float())
        ours, theirs = saved[name].view(torch.int16), merged.to(tensor.dtype).view(torch.int16)
        exact += int((ours == theirs).sum())
        total += ours.numel()
        assert int((ours.int() - theirs.int()).abs().max()) <= 1
    assert set(saved) == set(target)
    assert exact / total >= 0.9999


def test_the_saved_model_answers_like_the_searched_one(demo: Finished) -> None:
    questions = load_benchmark(BENCHMARK).questions
    best = demo.result["best_trial"]
    answers = read_answers(demo.folder / "model_answer" / f"{best}.jsonl", questions).answers
    asked = {question.question_id: question for question in questions}
    limit = demo.result["settings"]["max_new_tokens"]
    for answer in answers[:8]:
        expected = plain_answer(demo.folder / "model", None, asked[answer.question_id], limit)
        assert answer.turns == expected


def test_the_saved_model_loads_like_any_other(demo: Finished, demo_models: Path) -> None:
    folder = demo.folder / "model"
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    original: Any = AutoTokenizer.from_pretrained(demo_models / "target")
    assert tokenizer.chat_template == original.chat_template
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.generation_config is not None
    about = json.loads((folder / "tvmerge.json").read_text(encoding="utf-8"))
    assert about["weights"] == demo.result["weights"]
    assert str(demo_models) not in json.dumps(about)


def test_the_study_opens_in_optuna_with_weights_named_by_what_they_scale(demo: Finished) -> None:
    study = stored_study(demo.folder)
    names = list(study.trials[0].params)
    layers = [f"layers.{i}" for i in range(len(names) - 3)]
    assert names == ["embeddings", *layers, "norm", "head"]
    first = [set(trial.params.values()) for trial in study.trials[:7]]
    assert first == [{0.0}, {1.0}, {0.25}, {0.5}, {0.75}, {1.25}, {1.5}]
    assert demo.result["weights"] == study.trials[demo.result["best_trial"]].params


def test_the_winner_is_the_finalist_that_did_best_on_the_selection_split(demo: Finished) -> None:
    scored = [trial for trial in stored_study(demo.folder).trials if trial.state.name == "COMPLETE"]
    best = sorted(scored, key=lambda trial: trial.values[0], reverse=True)[:3]
    finalists = demo.result["finalists"]
    assert [row["trial"] for row in finalists] == [trial.number for trial in best]
    winner = max(finalists, key=lambda row: row["chosen_on"]["mean"])
    assert demo.result["best_trial"] == winner["trial"]
    assert winner["chosen_on"]["n"] + demo.result["holdout"]["best"]["n"] == 120


def test_the_winner_is_named_as_such_everywhere(
    demo: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    winner = demo.result["best_trial"]
    named = demo.result["winner"]
    assert named == {"trial": winner, "best_of_search": demo.result["finalists"][0]["trial"]}
    assert f"The winner, trial {winner}, beats the best uniform weight" in " ".join(demo.screen.split())
    assert demo.result["verdict"]["rival"] == "uniform"
    study = stored_study(demo.folder)
    assert [t.number for t in study.trials if t.user_attrs.get("winner")] == [winner]
    assert study.user_attrs["tvmerge:winner"]["sentence"] == demo.result["verdict"]["sentence"]
    assert run(["status", f"--run-dir={demo.folder}"]) == 0
    assert f"winner: trial {winner}, named by the held-out comparison" in capsys.readouterr().out
    place = ["--storage", f"sqlite:///{demo.folder / 'study.db'}", "--study-name=demo"]
    assert run(["merge", *place, f"--output-dir={tmp_path / 'merged'}"]) == 0
    assert capsys.readouterr().out.startswith(f"trial {winner}: the winner of the held-out comparison")
    written, saved = (f / "model.safetensors" for f in (tmp_path / "merged", demo.folder / "model"))
    assert written.read_bytes() == saved.read_bytes()
    page = (demo.folder / "report.html").read_text(encoding="utf-8")
    assert "Weights of the winner" in page
    assert f"The weights of the winner, trial {winner}:" in page


def test_every_score_follows_from_the_answer_log(demo: Finished) -> None:
    scores = scores_by_model(demo.folder)
    study = stored_study(demo.folder)
    assert {str(trial.number) for trial in study.trials} == set(scores)
    for trial in study.trials:
        blocks = [score for *_, block in trial.user_attrs["blocks"] for score in block]
        assert len(blocks) == trial.user_attrs["questions"] <= 120
        turns = np.array(scores[str(trial.number)]).reshape(-1, 2)
        assert sorted(turns.mean(axis=1)) == pytest.approx(sorted(blocks))
        assert trial.value == pytest.approx(trial.user_attrs["mean"] - trial.user_attrs["se"] / 2, abs=1e-5)
    zero = str(demo.result["contenders"]["weight_0"]["trial"])
    reported = scores_by_model(demo.folder / "holdout")[zero]
    assert demo.result["holdout"]["weight_0"]["mean"] == pytest.approx(np.mean(reported), abs=1e-6)


def test_the_report_is_one_page_that_needs_no_network(demo: Finished) -> None:
    page = (demo.folder / "report.html").read_text(encoding="utf-8")

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert not {"src", "href"} & {name for name, value in attrs if not (value or "").startswith("#")}

    Links().feed(page)
    assert f"{demo.result['holdout']['best']['mean']:.2f}" in page
    assert "course-title" in page


def test_any_trial_can_be_written_again(demo: Finished, tmp_path: Path) -> None:
    storage = f"--storage=sqlite:///{demo.folder / 'study.db'}"
    winner = str(demo.result["best_trial"])
    for trial in ("best-search", winner):
        output = tmp_path / trial
        assert run(["merge", storage, "--study-name=demo", f"--trial={trial}", f"--output-dir={output}"]) == 0
    same = (demo.folder / "model" / "model.safetensors").read_bytes()
    assert (tmp_path / winner / "model.safetensors").read_bytes() == same
    best = json.loads((tmp_path / "best-search" / "tvmerge.json").read_text(encoding="utf-8"))
    assert best["weights"] == stored_study(demo.folder).best_trial.params


def test_the_weights_of_the_result_make_the_same_model(
    demo: Finished, demo_models: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.json"
    weights.write_text(json.dumps(demo.result["weights"]), encoding="utf-8")
    models = [f"--{role}_model={demo_models / role}" for role in ("target", "base", "tuned")]
    assert run(["merge", *models, f"--weights={weights}", f"--output_dir={tmp_path / 'out'}"]) == 0
    same = (demo.folder / "model" / "model.safetensors").read_bytes()
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == same


def test_running_it_again_changes_nothing(demo: Finished) -> None:
    before = stored_study(demo.folder).trials
    assert run(["demo", f"--run-dir={demo.folder}"]) == 0
    assert stored_study(demo.folder).trials == before


@pytest.mark.parametrize(("sampler", "trials"), [("auto", 6), ("TPE", 16), ("CMA-ES", 16)])
def test_the_same_seed_gives_the_same_trials_and_scores(
    sampler: str, trials: int, small_bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow this machine is.
    monkeypatch.setattr("tvmerge.study.blocks.size.SHORT", math.inf)
    tables = []
    for name in ("first", "second"):
        monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path / name / "cache"))
        folder = tmp_path / name / "run"
        argv = ["demo", f"--run-dir={folder}", f"--optuna-sampler={sampler}", f"--n-trials={trials}"]
        argv += [
            f"--bench-name={small_bench}",
            "--max-new-tokens=10",
            "--trials-in-flight=3",
            "--optuna_seed=5",
        ]
        assert run(argv) == 0
        tables.append([(t.params, t.values) for t in stored_study(folder).trials])
    assert tables[0] == tables[1]


def test_the_help_shows_the_demos_own_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for default in ("a .toml file; several form a panel. [default: rules]", "at once. [default: 16]"):
        assert default in told
    assert "gpt-6" not in told
