"""`tvmerge judge`, the judge's flags in a run, and `tvmerge cache`.

Several modules: two commands and the judges behind them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, completion, error, user_prompt
from tvmerge._util.assets import bundled_root
from tvmerge._util.cache import ContentCache
from tvmerge.cli.app import run
from tvmerge.records import Judgment, Rating
from tvmerge.tasks.fastchat.files import read_judgments

QUESTIONS = 6
TEST_QUESTION = "日本の首都はどこですか。"


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Two-turn questions with references, and a file of answers to them."""
    folder = tmp_path / "bench"
    folder.mkdir()
    rows = [
        {
            "question_id": i,
            "category": "writing" if i % 2 else "math",
            "turns": [f"{i}たす2は？", "では、それに1をたすと？"],
            "reference": [f"{i + 2}", f"{i + 3}"],
        }
        for i in range(QUESTIONS)
    ]
    write_lines(folder / "question.jsonl", rows)
    for model, first in (("good", "{}です。"), ("english", "it is {}.")):
        answers = [
            {"question_id": str(i), "choices": [{"index": 0, "turns": [first.format(i + 2), "?です。"]}]}
            for i in range(QUESTIONS)
        ]
        write_lines(tmp_path / f"{model}.jsonl", answers)
    return folder


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")


def judge(bench: Path, *more: str) -> int:
    answers = [f"--answers={bench.parent / name}.jsonl" for name in ("good", "english")]
    return run(["judge", f"--bench-name={bench}", *answers, *more])


def score_of(judgment: Judgment) -> float:
    assert isinstance(judgment, Rating)
    return judgment.score


def test_answers_are_rated_and_written_in_fastchats_format(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "judgments.jsonl"
    assert judge(bench, "--judge=rules", f"--out={out}") == 0
    screen = capsys.readouterr().out
    for row in ("good", "english", "all", "turn 1", "turn 2", "writing", "math", "coverage"):
        assert row in screen
    assert screen.endswith(f"judgments: {out}\n")
    judged = read_judgments(out)
    assert len(judged) == 2 * QUESTIONS * 2
    means = {m: [score_of(j) for name, j in judged if name == m] for m, _ in judged}
    assert sum(means["good"]) > sum(means["english"])


def test_a_second_judgment_of_the_same_answers_is_free(bench: Path, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        flags = ["--judge=gpt-4o", f"--judge-base-url={server.base_url}", "--parallel=8"]
        assert judge(bench, *flags, f"--out={tmp_path / 'a'}") == 0
        paid = server.answered
        assert judge(bench, *flags, f"--out={tmp_path / 'b'}") == 0
        assert server.answered == paid
    first, second = read_judgments(tmp_path / "a"), read_judgments(tmp_path / "b")
    assert first == second
    assert "secret-key" not in (tmp_path / "a").read_text(encoding="utf-8")


@pytest.mark.parametrize(("written", "flags", "together"), [("3", [], 3), ("3", ["--parallel=2"], 2)])
def test_a_judge_file_says_how_many_judgments_are_in_flight_unless_the_flag_does(
    bench: Path, tmp_path: Path, written: str, flags: list[str], together: int
) -> None:
    async def all_there(request: Request) -> None:
        async with asyncio.timeout(10):
            while request.method == "POST" and server.peak < together:
                await asyncio.sleep(0.001)

    with OpenAIServer(gate=all_there) as server:
        mine = tmp_path / "mine.toml"
        mine.write_text(
            f'provider = "openai"\nmodel = "m"\nbase_url = "{server.base_url}"\nconcurrency = {written}',
            encoding="utf-8",
        )
        assert judge(bench, f"--judge={mine}", "--judge-patience=0", *flags) == 0
        assert server.peak == together


@pytest.mark.parametrize("flag", ["judge-patience", "max-cost", "non-japanese-penalty"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1"])
def test_an_amount_that_is_none_is_refused(
    bench: Path, flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(bench, "--judge=rules", f"--{flag}={value}") == 2
    name = flag.replace("-", "_")
    bound = "at least 0" if value == "-1" else "finite"
    assert f"error: {name} must be {bound}, got {value}" in capsys.readouterr().err


def test_one_judgment_is_in_flight_where_nobody_says(bench: Path) -> None:
    with OpenAIServer() as server:
        assert judge(bench, "--judge=gpt-4o", f"--judge-base-url={server.base_url}") == 0
        assert server.peak == 1


def test_short_answers_are_judged_as_far_as_they_go(bench: Path, tmp_path: Path) -> None:
    rows = [
        {"question_id": i, "choices": [{"index": 0, "turns": [f"{i + 2}です。"]}]} for i in range(QUESTIONS)
    ]
    write_lines(tmp_path / "short.jsonl", rows)
    flags = ["judge", f"--bench-name={bench}", "--judge=rules", f"--answers={tmp_path / 'short.jsonl'}"]
    assert run([*flags, f"--out={tmp_path / 'out'}"]) == 0
    assert [judgment.turn for _, judgment in read_judgments(tmp_path / "out")] == [1] * QUESTIONS
    assert run([*flags, f"--out={tmp_path / 'short.jsonl'}"]) == 2


def test_samples_and_a_panel_give_more_judgments(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer() as server:
        flags = [f"--judge-base-url={server.base_url}", f"--out={tmp_path / 'out'}"]
        assert judge(bench, "--judge=gpt-4o", "--judge=gpt-4.1", "--judge-samples=2", *flags) == 0
        assert server.peak == 1  # the places of one server, whoever asks it
    said = capsys.readouterr().out
    assert "panel: two judges differ by 0.00 points" in said
    assert "repeated ratings of a turn have a standard deviation of 0.00 points" in said
    judged = read_judgments(tmp_path / "out")
    assert len(judged) == 2 * QUESTIONS * 2 * 2 * 2
    assert {judgment.judge for _, judgment in judged} == {"gpt-4o", "gpt-4.1"}


def test_on_a_panel_another_server_is_for_the_judges_on_servers(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer() as server:
        flags = ["--judge=rules", f"--judge-base-url={server.base_url}", f"--out={tmp_path / 'out'}"]
        assert judge(bench, *flags, "--judge=gpt-4o") == 0
        assert server.answered
        assert judge(bench, *flags) == 2
    assert {judgment.judge for _, judgment in read_judgments(tmp_path / "out")} == {"rules", "gpt-4o"}
    assert "not on a server" in capsys.readouterr().err


def test_pairs_are_compared_with_a_baseline(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def prefers_the_longer(prompt: str) -> str:
        return "[[A]]" if prompt.index("it is") < prompt.index("です。") else "[[B]]"

    with OpenAIServer(reply=prefers_the_longer) as server:
        flags = [f"--judge-base-url={server.base_url}", "--judge=gpt-4o", "--judge-mode=pairwise"]
        assert judge(bench, *flags) == 2
        assert "--baseline FILE" in capsys.readouterr().err
        baseline = f"--baseline={bench.parent / 'good.jsonl'}"
        assert judge(bench, *flags, baseline, f"--out={tmp_path / 'out'}") == 0
    scores = {model: set[float]() for model in ("good", "english")}
    for model, judgment in read_judgments(tmp_path / "out"):
        if judgment.turn == 1:
            scores[model].add(score_of(judgment))
    assert scores == {"good": {0.5}, "english": {1.0}}


def test_a_baseline_that_lacks_an_answer_is_refused_before_a_call(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (tmp_path / "good.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "half.jsonl").write_text("".join(lines[:4]), encoding="utf-8")
    with OpenAIServer() as server:
        flags = [f"--judge-base-url={server.base_url}", "--judge=gpt-4o", "--judge-mode=pairwise"]
        assert judge(bench, *flags, f"--baseline={tmp_path / 'half.jsonl'}") == 2
        assert server.answered == 0
    assert "half.jsonl: 2 of the questions to compare have no answer here (4, 5)" in (capsys.readouterr().err)


def test_where_judgments_cannot_be_written_nothing_is_asked(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer() as server:
        flags = [f"--judge-base-url={server.base_url}", "--judge=gpt-4o"]
        for place, why in (
            (bench, "is a folder"),
            (tmp_path / "good.jsonl" / "x", "is a file, not a folder"),
        ):
            assert judge(bench, *flags, f"--out={place}") == 2
            assert f"error: --out {place}" in (said := capsys.readouterr().err)
            assert why in said
        assert server.answered == 0


def test_what_cannot_be_written_after_all_is_shown_and_paid_once(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "later"

    def takes_the_place(request: Request, number: int) -> Response | None:
        folder.touch()
        return None

    with OpenAIServer(script=takes_the_place) as server:
        flags = [f"--judge-base-url={server.base_url}", "--judge=gpt-4o"]
        assert judge(bench, *flags, f"--out={folder / 'out.jsonl'}") == 2
        said = capsys.readouterr()
        assert "coverage" in said.out
        assert f"error: --out {folder / 'out.jsonl'}: cannot be written" in said.err
        paid = server.answered
        assert judge(bench, *flags, f"--out={tmp_path / 'out.jsonl'}") == 0
        assert server.answered == paid


def test_a_link_is_written_through(bench: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere" / "judgments.jsonl")
    assert judge(bench, "--judge=rules", f"--out={tmp_path / 'out'}") == 0
    assert (tmp_path / "out").is_symlink()
    assert read_judgments(tmp_path / "elsewhere" / "judgments.jsonl")


def test_a_run_whose_model_cannot_be_written_shows_what_it_found(
    bench: Path, demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"

    def takes_the_place(request: Request, number: int) -> Response | None:
        if request.method == "POST":
            folder.touch()
        return None

    with OpenAIServer(script=takes_the_place) as server:
        place = f"--output-dir={folder / 'best'}"
        assert optimize(bench, demo_models, tmp_path / "run", server, "--parallel=8", place) == 2
        said = capsys.readouterr()
        assert "weight 1" in said.out
        assert f"error: {folder / 'best'}" in said.err
        paid = server.answered
        folder.unlink()
        assert optimize(bench, demo_models, tmp_path / "run", server, "--parallel=8", place) == 0
        assert server.answered == paid


@pytest.mark.parametrize("name", ["ledger.jsonl", "result.json", "trace.json"])
def test_a_run_looks_at_all_its_places_before_it_asks(
    bench: Path, demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "run" / name).mkdir(parents=True)
    with OpenAIServer() as server:
        trace = f"--trace={tmp_path / 'run' / 'trace.json'}"
        assert optimize(bench, demo_models, tmp_path / "run", server, trace) == 2
        assert server.answered == 0
    assert f"{name} is a folder; choose a file" in capsys.readouterr().err


def test_prompts_of_one_turn_judge_first_turns(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "one.jsonl"
    fields = {"single-v1": "{question}{answer}", "single-math-v1": "{question}{ref_answer_1}{answer}"}
    write_lines(
        prompts,
        [
            {"name": n, "type": "single", "system_prompt": "", "prompt_template": t, "output_format": ""}
            for n, t in fields.items()
        ],
    )
    with OpenAIServer(reply=lambda _: "[[5]]") as server:
        flags = [f"--judge-base-url={server.base_url}", "--judge=gpt-4o", f"--judge-file={prompts}"]
        assert judge(bench, *flags) == 2
        assert "--turns 1" in capsys.readouterr().err
        assert server.answered == 0
        assert judge(bench, *flags, "--turns=1", f"--out={tmp_path / 'out'}") == 0
        assert server.answered == 2 * QUESTIONS
    assert {judgment.turn for _, judgment in read_judgments(tmp_path / "out")} == {1}


def test_a_third_turn_is_judged(bench: Path, tmp_path: Path) -> None:
    rows = [{"question_id": 1, "category": "writing", "turns": ["一?", "二?", "三?", "四?"]}]
    write_lines(bench / "question.jsonl", rows)
    turns = ["一です。", "二です。", "三です。", "四です。"]
    write_lines(tmp_path / "good.jsonl", [{"question_id": 1, "choices": [{"turns": turns}]}])
    with OpenAIServer(reply=lambda _: "Rating: [[5]]") as server:
        flags = ["judge", f"--bench-name={bench}", f"--judge-base-url={server.base_url}", "--judge=gpt-4o"]
        answers = f"--answers={tmp_path / 'good.jsonl'}"
        assert run([*flags, answers, f"--out={tmp_path / 'out'}"]) == 0
        asked = [user_prompt(request) for request in server.requests if request.method == "POST"]
    assert [judgment.turn for _, judgment in read_judgments(tmp_path / "out")] == [1, 2, 3, 4]
    assert all(text in asked[-1] for text in (*turns, "四?"))


def test_a_file_of_more_answers_than_are_asked_is_read_and_references_are_chosen(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(text) for text in (bench / "question.jsonl").read_text("utf-8").splitlines()]
    write_lines(bench / "question.jsonl", [{**row, "reference": []} for row in rows[:2]])
    (bench / "reference_answer").mkdir()
    for name in ("gpt-4", "gpt-4o-2024-08-06"):
        made = [{"question_id": 0, "choices": [{"turns": [f"2 ({name})", "3"]}]}]
        write_lines(bench / "reference_answer" / f"{name}.jsonl", made)
    with OpenAIServer() as server:
        flags = [f"--judge-base-url={server.base_url}", "--judge=openai/other", "--turns=1"]
        assert judge(bench, *flags) == 0
        said = capsys.readouterr().err
        assert "model good: 4 answers to questions that are not in the benchmark are left out" in said
        assert "judged without a reference, although their categories (math) want one" in said
        assert "choose one with --reference" in said
        assert judge(bench, *flags, "--reference=gpt-4") == 0
        assert "without a reference" not in capsys.readouterr().err
        assert any("2 (gpt-4)" in prompt for prompt in posts(server))
        assert judge(bench, *flags, "--reference=gpt-5") == 2
        assert "it has: gpt-4, gpt-4o-2024-08-06" in capsys.readouterr().err


def test_questions_without_an_answer_are_told(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = bench.parent / "good.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:4]), encoding="utf-8")
    assert judge(bench, "--judge=rules") == 0
    said = capsys.readouterr().err
    assert f"model good: 2 of {QUESTIONS} questions have no answer" in said
    assert "model english" not in said


def test_what_the_judges_took_and_how_far_they_agree_is_shown(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer() as server:
        flags = ["--judge=gpt-4o", "--judge=rules", f"--judge-base-url={server.base_url}"]
        assert judge(bench, *flags) == 0
        screen = capsys.readouterr().out
        assert f"judge gpt-4o: {server.answered} calls" in screen
        assert "panel: two judges differ by" in screen


def test_where_nothing_is_rated_the_reason_is_told(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (bench.parent / "good.jsonl", bench.parent / "english.jsonl"):
        first, *_ = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text(first, encoding="utf-8")
    with OpenAIServer(reply=lambda _: "I would rather not say.") as server:
        flags = [f"--judge-base-url={server.base_url}", "--judge=gpt-4o", "--judge-reasks=0"]
        assert judge(bench, *flags) == 2
    said = capsys.readouterr().err
    assert "error: nothing was rated; the most common reason: no [[rating]]" in said
    assert "--judge-file" in said


def test_a_judge_that_rates_none_of_the_first_answers_is_not_asked_about_the_others(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer(reply=lambda _: "I would rather not say.") as server:
        flags = [f"--judge-base-url={server.base_url}", "--judge=gpt-4o", "--judge=rules", "--judge-reasks=0"]
        assert judge(bench, *flags) == 2
        assert 6 <= len(posts(server)) <= 8  # of 24
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        "error: of the first 12 judgments, judge gpt-4o rated nothing; the most common reason: "
    )
    assert "--judge-file" in said


def test_one_judge_that_answers_late_does_not_end_a_command(bench: Path) -> None:
    with OpenAIServer(script=lambda _, number: completion("[[7]]" if number == 8 else "Hm.")) as server:
        assert judge(bench, f"--judge-base-url={server.base_url}", "--judge=gpt-4o", "--judge-reasks=0") == 0
        assert len(posts(server)) == 4 * QUESTIONS


def test_a_budget_ends_a_run_cleanly_and_a_larger_one_goes_on(
    bench: Path, demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    with OpenAIServer() as server:
        flags = [
            *("optimize", f"--bench-name={bench}", "--judge=gpt-4o", f"--judge-base-url={server.base_url}"),
            *(f"--{role}-model={demo_models / role}" for role in ("target", "base", "tuned")),
            *(f"--run-dir={folder}", "--study-name=s", "--n-trials=3", "--max-new-tokens=8", "--holdout=0"),
        ]
        assert run([*flags, "--max-judge-calls=20"]) == 2
        assert "budget" in capsys.readouterr().err
        assert server.answered <= 20
        assert run([*flags, "--max-judge-calls=500"]) == 0
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        usage = result["judging"]["usage"][0]
        assert usage["calls"] == server.answered
        assert usage["cache_hits"] > 0
        assert "calls" in capsys.readouterr().out
        assert run([*flags, "--max-cost=0"]) == 0  # all is cached: nothing more is spent


def optimize(bench: Path, models: Path, folder: Path, server: OpenAIServer, *more: str) -> int:
    """A search of three trials with a judge on `server`."""
    flags = [f"--bench-name={bench}", "--judge=gpt-4o", f"--judge-base-url={server.base_url}"]
    flags += [f"--{role}-model={models / role}" for role in ("target", "base", "tuned")]
    size = ("--n-trials=3", "--max-new-tokens=8", "--holdout=0")
    return run(["optimize", *flags, *size, f"--run-dir={folder}", "--study-name=s", *more])


def posts(server: OpenAIServer) -> list[str]:
    """What the judge was asked."""
    return [user_prompt(request) for request in server.requests if request.method == "POST"]


def trials_of(folder: Path) -> list[FrozenTrial]:
    return optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 'study.db'}").trials


def test_an_outage_stops_a_run_that_goes_on_when_the_judge_is_back(
    bench: Path,
    demo_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = ("--judge-patience=0", "--parallel=4", "--optuna-sampler=TPE")
    with OpenAIServer() as server:
        assert optimize(bench, demo_models, tmp_path / "whole", server, *more) == 0
        paid = posts(server)
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path / "empty"))

    up: Iterator[bool] = itertools.chain([True] * 20, itertools.repeat(False))

    def fails(request: Request, number: int) -> Response | None:
        return None if next(up) else error(503, "down for maintenance")

    capsys.readouterr()
    with OpenAIServer(script=fails) as server:
        assert optimize(bench, demo_models, tmp_path / "cut", server, *more) == 2
        said = capsys.readouterr().err
        assert "error: the judge's provider has failed for 0 s (HTTP 503: down for maintenance)" in said
        assert [trial.state.name for trial in trials_of(tmp_path / "cut")] == ["COMPLETE", "RUNNING"]
        kept = posts(server)[:20]
        failed = len(posts(server)) - len(kept)
        up = itertools.repeat(True)
        assert optimize(bench, demo_models, tmp_path / "cut", server, *more) == 0
        assert sorted(kept + posts(server)[20 + failed :]) == sorted(paid)
    cut, whole = trials_of(tmp_path / "cut"), trials_of(tmp_path / "whole")
    assert [(t.params, t.values) for t in cut] == [(t.params, t.values) for t in whole]


def test_a_trial_that_fails_for_want_of_ratings_says_why(
    bench: Path, demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def reply(prompt: str) -> str:
        return "[[7]]" if TEST_QUESTION in prompt or "5たす2" in prompt else "I would rather not say."

    with OpenAIServer(reply=reply) as server:
        more = ("--judge-reasks=0", "--optuna-sampler=TPE")
        assert optimize(bench, demo_models, tmp_path / "run", server, *more) == 2
    assert "trial 0 failed: " in capsys.readouterr().err
    why = "of the judgments gave a rating; the most common reason: no [[rating]] in the reply"
    assert all(why in trial.user_attrs["failure"] for trial in trials_of(tmp_path / "run"))


def test_a_judge_that_gives_no_rating_ends_a_run_before_a_model_is_loaded(
    bench: Path, demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer(script=lambda request, number: completion(None, finish="length")) as server:
        assert optimize(bench, demo_models, tmp_path / "run", server) == 2
        assert len(posts(server)) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: judge gpt-4o does not rate a test answer (cut off at the token limit")
    assert "parameters.max_tokens" in last
    assert not (tmp_path / "run" / "study.db").exists()


def test_settings_that_cannot_work_are_told_before_the_judge_is_asked(
    bench: Path, demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer() as server:
        assert optimize(bench, demo_models, tmp_path / "run", server, "--device=cuda:7") == 2
        assert posts(server) == []
    assert "cuda:7" in capsys.readouterr().err


def test_a_judge_that_rates_nothing_of_a_trial_ends_the_run_with_a_cure_and_it_goes_on_later(
    bench: Path, demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, whole = tmp_path / "run", "--optuna-sampler=TPE"
    more = ("--judge-reasks=0", "--no-judge-check", whole)
    with OpenAIServer(reply=lambda _: "I would rather not say.") as server:
        assert optimize(bench, demo_models, folder, server, *more) == 2
        assert 0 < len(posts(server)) <= 2 * QUESTIONS
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(
        "error: trial 0: judge gpt-4o rated nothing; the most common reason: no [[rating]]"
    )
    assert "--judge-file" in last
    assert [trial.state.name for trial in trials_of(folder)] == ["RUNNING"]
    with OpenAIServer() as server:
        assert optimize(bench, demo_models, folder, server, whole) == 0
    assert [trial.state.name for trial in trials_of(folder)] == ["COMPLETE"] * 3


def test_the_reply_to_the_test_answer_is_paid_for_once(
    bench: Path, demo_models: Path, tmp_path: Path
) -> None:
    with OpenAIServer() as server:
        assert optimize(bench, demo_models, tmp_path / "run", server) == 0
        paid = posts(server)
        assert [TEST_QUESTION in prompt for prompt in paid] == [True] + [False] * (len(paid) - 1)
        assert optimize(bench, demo_models, tmp_path / "run", server, "--max-judge-calls=0") == 0
        assert posts(server) == paid


def test_a_pause_beyond_the_patience_ends_the_command_at_once(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1760000000s",
    }
    with OpenAIServer(headers=headers) as server:
        flags = [f"--judge-base-url={server.base_url}", "--judge=gpt-4o", "--judge-patience=5"]
        assert judge(bench, *flags) == 2
        assert len(posts(server)) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert "no request is left (x-ratelimit-reset-requests: 1760000000s)" in last
    assert "--wait-for-quota" in last


def test_a_run_compares_with_the_untouched_target(bench: Path, demo_models: Path, tmp_path: Path) -> None:
    with OpenAIServer(reply=lambda _: "[[A]]") as server:
        flags = [
            *("optimize", f"--bench-name={bench}", "--judge=gpt-4o", f"--judge-base-url={server.base_url}"),
            *(f"--{role}-model={demo_models / role}" for role in ("target", "base", "tuned")),
            *(f"--run-dir={tmp_path / 'run'}", "--n-trials=2", "--max-new-tokens=8", "--holdout=0"),
        ]
        assert run([*flags, "--judge-mode=pairwise", "--parallel=4"]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    # This judge prefers whatever stands first: both orders disagree, so all are ties, but for answers
    # that are empty, which lose without being asked about.
    assert result["search"]["weight_0"]["mean"] == 0.5
    assert 0.3 < result["search"]["weight_1"]["mean"] <= 0.5


def test_answers_that_are_not_in_japanese_lose_points_where_asked(bench: Path, tmp_path: Path) -> None:
    for name, more in (("plain", []), ("strict", ["--min-japanese=0.5", "--non-japanese-penalty=2"])):
        assert judge(bench, "--judge=rules", f"--out={tmp_path / name}", *more) == 0
    plain, strict = read_judgments(tmp_path / "plain"), read_judgments(tmp_path / "strict")
    for (model, before), (_, after) in zip(plain, strict, strict=True):
        lost = score_of(before) - score_of(after)
        english = model == "english" and before.turn == 1
        assert (lost > 0) == (english and score_of(before) > 1)


def test_lost_points_end_at_the_low_end_of_the_prompts_scale(bench: Path, tmp_path: Path) -> None:
    shipped = bundled_root() / "prompts" / "judge_prompts.jsonl"
    rows = [json.loads(line) for line in shipped.read_text(encoding="utf-8").splitlines()]
    write_lines(tmp_path / "unit.jsonl", [row | {"scale": [0, 1]} for row in rows])
    with OpenAIServer(reply=lambda _: "Rating: [[1]]") as server:
        flags = [f"--judge-base-url={server.base_url}", f"--judge-file={tmp_path / 'unit.jsonl'}"]
        out = tmp_path / "out"
        assert judge(bench, "--judge=gpt-4o", *flags, "--min-japanese=0.5", f"--out={out}") == 0
    scores = {(model, j.turn): score_of(j) for model, j in read_judgments(out)}
    assert (scores["english", 1], scores["good", 1]) == (0.0, 1.0)


def test_the_cache_can_be_looked_into(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer() as server:
        assert judge(bench, "--judge=gpt-4o", f"--judge-base-url={server.base_url}") == 0
        paid = server.answered
    capsys.readouterr()
    assert run(["cache", "stats"]) == 0
    assert f"{paid} rows" in capsys.readouterr().out
    assert run(["cache", "verify"]) == 0
    assert run(["cache", "export", f"--out={tmp_path / 'rows.jsonl'}"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == paid
    capsys.readouterr()
    assert run(["cache", "explain", rows[0]["key"][:12]]) == 0
    assert rows[0]["value"]["reply"]["text"].splitlines()[0] in capsys.readouterr().out
    assert run(["cache", "explain", "nothing"]) == 2
    assert run(["cache", "prune"]) == 0
    assert "0 rows dropped" in capsys.readouterr().out
    assert run(["cache", "prune", "--kind=judgments", "--yes"]) == 0
    assert f"{paid} rows dropped" in capsys.readouterr().out


def test_refusals_are_forgotten_without_the_ratings(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    posts = 0
    long = error(400, "maximum context length is 8192 tokens")

    def script(request: Request, number: int) -> Response | None:
        nonlocal posts
        posts = number + 1
        return long if number == 0 else None

    with OpenAIServer(script=script) as server:
        flags = ["--judge=gpt-4o", f"--judge-base-url={server.base_url}"]
        assert judge(bench, *flags) == 0
        sent = posts
        assert judge(bench, *flags) == 0
        assert posts == sent
        capsys.readouterr()
        assert run(["cache", "prune", "--kind=refusals", "--yes"]) == 0
        assert "1 row dropped" in capsys.readouterr().out
        assert judge(bench, *flags) == 0
        assert posts == sent + 1
        assert server.answered == sent


def test_a_row_that_would_run_code_is_found_and_dropped_without_being_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path))
    judgments = ContentCache(tmp_path / "judgments")
    judgments.put_many({"good": 1, "planted": 2})
    judgments.close()
    with closing(sqlite3.connect(tmp_path / "judgments" / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET mode = 4, value = x'80054b022e' WHERE key = 'planted'")
    assert run(["cache", "verify"]) == 2
    said = capsys.readouterr()
    assert "judgments planted" in said.out
    assert "1 rows are damaged" in said.err
    assert run(["cache", "explain", "planted"]) == 2
    assert "pickled" in capsys.readouterr().err
    assert run(["cache", "prune"]) == 0
    assert "1 row dropped" in capsys.readouterr().out
    assert run(["cache", "verify"]) == 0


def test_a_key_that_would_run_code_is_passed_over_and_dropped_without_being_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path))
    judgments = ContentCache(tmp_path / "judgments")
    judgments.put_many(dict.fromkeys(("good", "pickled", "number", "bare"), 1))
    with closing(sqlite3.connect(tmp_path / "judgments" / "cache.db")) as database, database:
        # Loading it would end the test with an error: it is no pickle at all.
        database.execute("UPDATE Cache SET raw = 0, key = x'626f6f6d' WHERE key = 'pickled'")
        database.execute("UPDATE Cache SET key = 7 WHERE key = 'number'")
        database.execute("UPDATE Cache SET value = 7 WHERE key = 'bare'")
    assert list(judgments) == ["good", "bare"]
    judgments.close()
    assert run(["cache", "stats"]) == 0
    assert run(["cache", "export"]) == 0
    assert '"key": "good"' in capsys.readouterr().out
    assert run(["cache", "explain", "g"]) == 0
    assert run(["cache", "verify"]) == 2
    said = capsys.readouterr()
    assert "judgments a pickled key" in said.out
    assert "judgments a cache key must be text, got 7" in said.out
    assert "3 rows are damaged" in said.err
    assert run(["cache", "prune"]) == 0
    assert "3 rows dropped" in capsys.readouterr().out
    assert run(["cache", "verify"]) == 0


def test_thoughts_of_another_tool_are_neither_shown_to_the_judge_nor_lost_count_of(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, thought in (("good", "<think>Let me add.</think>\n\n"), ("english", "<think>Let me add ")):
        rows = [json.loads(line) for line in (tmp_path / f"{model}.jsonl").read_text("utf-8").splitlines()]
        for row in rows:
            row["choices"][0]["turns"][0] = thought + row["choices"][0]["turns"][0]
        write_lines(tmp_path / f"{model}.jsonl", rows)
    out = tmp_path / "judgments.jsonl"
    assert judge(bench, "--judge=rules", f"--out={out}") == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "cut in thought" in line]
    assert row.split("│")[2].strip() == "0%"
    assert row.split("│")[3].strip() == "50%"
    judged = [judgment for _, judgment in read_judgments(out)]
    assert not any("Let me add" in judgment.user_prompt for judgment in judged)
    notes = [j.note.split(";")[0] for j in judged if isinstance(j, Rating) and "cut" in j.note]
    assert notes == ["no answer: cut in thought"] * QUESTIONS
