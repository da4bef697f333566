"""A cheap judge for all answers and an anchor for a sample, from the command line.

Several modules: a whole run, with two providers on the loopback.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest

from examples.demo.generate import fresh_questions, question_row
from tests import ready
from tests.cli.judged import read_lines, write_lines
from tests.servers import rules
from tests.servers.anthropic_server import AnthropicServer, message
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer
from tvmerge.cli.app import run
from tvmerge.judging.judges.anchored import sample
from tvmerge.records import Recipe
from tvmerge.study.blocks.table import BLOCKS

FRACTION = 0.3
SEED = 3
PARALLEL = 4
_RATING = re.compile(r"\[\[(\d+)\]\]")


def cheap_reply(prompt: str) -> str:
    """The rules' rating, a point or two higher and coarser."""
    said = rules.reply(prompt)
    return _RATING.sub(lambda found: f"[[{min(10, 2 + 2 * (int(found[1]) // 2))}]]", said)


def opposite_reply(prompt: str) -> str:
    """What the rules would not say."""
    return _RATING.sub(lambda found: f"[[{11 - int(found[1])}]]", rules.reply(prompt))


def dear_reply(request: Request, number: int) -> Response:
    return message(rules.reply(_prompt(request)))


def _prompt(request: Request) -> str:
    return str(next(m["content"] for m in request.body["messages"] if m["role"] == "user"))


class CheapServer(OpenAIServer):
    """Says something else once it is told to."""

    def __init__(self) -> None:
        super().__init__(reply=self._say)
        self.reply: Callable[[str], str] = cheap_reply

    def _say(self, prompt: str) -> str:
        return self.reply(prompt)


@dataclass
class Judges:
    """Two judges on servers."""

    cheap: CheapServer
    dear: AnthropicServer
    folder: Path

    @property
    def asked(self) -> tuple[list[str], list[str]]:
        """What each was asked, in order."""
        cheap, dear = ([_prompt(r) for r in s.requests if r.body] for s in (self.cheap, self.dear))
        return cheap, dear


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Judges]:
    """The two judges, and a benchmark and a cache of their own."""
    with (
        pytest.MonkeyPatch.context() as patch,
        CheapServer() as cheap,
        AnthropicServer(script=dear_reply) as dear,
    ):
        patch.setenv("TVMERGE_CACHE_DIR", str(folder / "cache"))
        patch.setenv("OPENAI_API_KEY", "k")
        patch.setenv("ANTHROPIC_API_KEY", "k")
        for name, provider, url, price in (
            ("cheap", "openai", cheap.base_url, 0.1),
            ("dear", "anthropic", dear.url, 2.0),
        ):
            (folder / f"{name}.toml").write_text(
                f'provider = "{provider}"\nmodel = "{name}-model"\nbase_url = "{url}"\n'
                f"price_input = {price}\nprice_output = {5 * price}\n",
                encoding="utf-8",
            )
        write_lines(folder / "bench" / "question.jsonl", map(question_row, fresh_questions(20, seed=6)))
        yield Judges(cheap, dear, folder)


@pytest.fixture
def judges(tmp_path: Path) -> Iterator[Judges]:
    """The two judges of a test of its own."""
    with served(tmp_path) as found:
        yield found


@dataclass
class Finished:
    """A run that nothing disturbed: its judges, and what it said."""

    judges: Judges
    out: str
    err: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    out, err = io.StringIO(), io.StringIO()
    with (
        served(tmp_path_factory.mktemp("finished")) as judges,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        assert run(flags(judges)) == 0
    return Finished(judges, out.getvalue(), err.getvalue())


def flags(judges: Judges, *more: str, anchor: str = f"dear.toml={FRACTION}", name: str = "run") -> list[str]:
    folder = judges.folder
    return [
        *("demo", f"--bench-name={folder / 'bench'}", f"--judge={folder / 'cheap.toml'}"),
        *(
            f"--judge-anchor={folder / anchor}",
            "--optuna-sampler=auto",
            "--n-trials=6",
            "--holdout=0.4",
            "--confirm-candidates=1",
            f"--parallel={PARALLEL}",
        ),
        *(f"--run-dir={folder / name}", f"--optuna-seed={SEED}", "--study-name=s", *more),
    ]


def trials(folder: Path) -> list[Any]:
    return optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 'study.db'}").trials


def blocks(folder: Path) -> dict[str, list[list[Any]]]:
    """By trial, its asks as they are in the study's database."""
    return {str(trial.number): trial.user_attrs[BLOCKS] for trial in trials(folder)}


def table(folder: Path) -> list[tuple[Any, ...]]:
    return [(t.number, t.params, t.values, t.state.name, t.user_attrs) for t in trials(folder)]


def test_the_anchor_rates_the_sample_of_the_search_and_all_held_out_answers(finished: Finished) -> None:
    folder = finished.judges.folder / "run"
    logged = read_lines(folder / "model_judgment" / "cheap-dear_single.jsonl")
    rated = {name: {_about(row) for row in logged if row["judge"][0] == name} for name in ("cheap", "dear")}
    recipes = {str(trial.number): Recipe(trial.params) for trial in trials(folder)}
    assert rated["dear"] == {
        (model, question, turn)
        for model, question, turn in rated["cheap"]
        if sample(SEED, recipes[model], FRACTION)(question)
    }
    for model, rows in blocks(folder).items():
        anchored = sum(score is not None for *_, anchor in rows for score in anchor)
        assert anchored == len({about[:2] for about in rated["dear"] if about[0] == model})
        assert all(None not in scores for _, _, _, scores, _ in rows)
    held_out = read_lines(folder / "holdout" / "model_judgment" / "dear_single.jsonl")
    assert {row["judge"][0] for row in held_out} == {"dear"}
    _check_asked(finished.judges, logged + held_out)
    assert "judge cheap: " in finished.out
    assert "judge dear: " in finished.out
    assert "at equal cost the variance of a score is" in finished.err
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "cheap" in page
    assert "dear" in page


def _about(row: dict[str, Any]) -> tuple[str, Any, int]:
    return row["model"], row["question_id"], row["turn"]


def _check_asked(judges: Judges, logged: list[dict[str, Any]]) -> None:
    """Each server was sent what is in the logs and the test answer, nothing twice."""
    for name, asked in zip(("cheap", "dear"), judges.asked, strict=True):
        prompts = {row["user_prompt"] for row in logged if row["judge"][0] == name and row["judgment"]}
        assert len(asked) == len(set(asked))
        assert len(set(asked) - prompts) == 1
        assert prompts <= set(asked)


def with_cache(cache: Path, argv: Sequence[str]) -> None:
    """A command in a process of its own, with another cache."""
    os.environ["TVMERGE_CACHE_DIR"] = str(cache)
    raise SystemExit(run(argv))


def test_a_killed_run_ends_with_the_same_table_and_pays_nothing_twice(
    judges: Judges, finished: Finished
) -> None:
    command, logs = flags(judges, name="cut"), judges.folder / "logs"
    process = ready.start(logs, with_cache, judges.folder / "other", command)
    while process.is_alive() and min(map(len, judges.asked)) < 8:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    done = ready.call(logs, with_cache, judges.folder / "other", command)
    assert done.returncode == 0, done.stderr
    assert table(judges.folder / "cut") == table(finished.judges.folder / "run")
    for asked, before in zip(judges.asked, finished.judges.asked, strict=True):
        assert set(asked) == set(before)
        # What was on its way when the run was killed is asked again.
        assert len(asked) - len(set(asked)) <= PARALLEL


def test_judges_that_do_not_agree_stop_the_run_and_it_can_go_on(
    judges: Judges, capsys: pytest.CaptureFixture[str]
) -> None:
    judges.cheap.reply = opposite_reply
    argv = flags(judges, anchor="dear.toml=0.7")
    assert run(argv) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: two judges do not pay here: the correlation of the judges' ratings of 4")
    assert "0.47 is needed at a cost per rating of 0.05 to 1" in error
    assert "--judge dear without --judge-anchor" in error
    asked = tuple(map(len, judges.asked))
    assert run(argv) == 2
    assert tuple(map(len, judges.asked)) == asked
    assert capsys.readouterr().err.splitlines()[-1] == error
    assert run([*argv, "--judge-anchor-anyway"]) == 0
    cheap, dear = judges.asked
    assert len(cheap) == len(set(cheap))
    assert len(dear) == len(set(dear))
    alone = [flag for flag in argv if "--judge" not in flag]
    assert run([*alone, f"--judge={judges.folder / 'dear.toml'}", "--fork=alone"]) == 0


def test_another_fraction_is_another_study(judges: Judges, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(flags(judges, "--n-trials=2")) == 0
    assert run(flags(judges, "--n-trials=3", anchor="dear.toml=0.31")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "judge_anchor" in error
    assert "0.31" in error


def test_a_plan_counts_the_calls_of_both_judges(judges: Judges, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(flags(judges, "--dry-run")) == 0
    said = capsys.readouterr()
    rows = [line.split() for line in said.out.splitlines()]
    calls = {(row[0], row[1]): int(row[-4]) for row in rows if row[:1] in (["cheap"], ["dear"])}
    assert calls["cheap", "search"] == 6 * 12 * 2
    assert calls["dear", "search"] == math.ceil(FRACTION * 6 * 12 * 2)
    assert ("cheap", "final") not in calls
    assert calls["dear", "final"] > 0
    assert "dear will rate about 22 of the search's 72 answers; with fewer than 40" in said.err
    assert judges.asked == ([], [])


NAMES = {"judge": "--judge=rules", "anchor": "--judge-anchor=claude=0.1", "auto": "--optuna-sampler=auto"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--judge-anchor=claude"], "--judge-anchor takes NAME=FRACTION, such as claude=0.1; got 'claude'"),
        (["--judge-anchor=claude=tenth"], "such as claude=0.1; got 'claude=tenth'"),
        (["--judge-anchor=claude=nan"], "such as claude=0.1; got 'claude=nan'"),
        (["--judge-anchor==0.1"], "--judge-anchor takes NAME=FRACTION"),
        (["--judge-anchor=claude=0"], "the fraction of --judge-anchor must be in (0, 1), got 0"),
        (["--judge-anchor=claude=-0.1"], "must be in (0, 1), got -0.1"),
        (["--judge-anchor=claude=1"], "got 1; for ratings by claude alone use --judge claude"),
        (["--judge-anchor=openai/ft:gpt=x=20"], "got 20; for ratings by openai/ft:gpt=x alone use"),
        (["--judge-anchor=rules=0.1"], "--judge-anchor: rules rates everything already; name another"),
        (["--judge-anchor=nobody=0.1"], "nobody"),
        (
            ["--judge=claude", "--judge-anchor=anthropic/claude-sonnet-5-5=0.1", "--optuna-sampler=auto"],
            "the judge 'claude' itself; name another",
        ),
        ([NAMES["anchor"], "--judge-mode=pairwise"], "--judge-anchor is for ratings"),
        ([NAMES["anchor"], "--tasks=arc_easy"], "tasks rate themselves"),
        (["--judge-anchor-anyway"], "--judge-anchor-anyway is only for --judge-anchor"),
        ([NAMES["anchor"], "--optuna-sampler=TPE"], "--judge-anchor needs --optuna-sampler auto"),
        (
            [NAMES["anchor"], NAMES["auto"], "--stop-when=0.1"],
            "--stop-when forecasts the ratings of one judge",
        ),
    ],
)
def test_what_cannot_be_anchored_is_one_line(
    argv: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert run(["demo", f"--run-dir={tmp_path / 'run'}", *argv]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: ")
    assert message in lines[-1]


def test_an_anchor_needs_a_judge_and_a_search(judges: Judges, capsys: pytest.CaptureFixture[str]) -> None:
    models = [f"--{role}-model=m" for role in ("target", "base", "tuned")]
    assert run(["optimize", "--bench-name=demo", *models, NAMES["anchor"]]) == 2
    assert "name the judge that rates everything: --judge" in capsys.readouterr().err
    answers = write_lines(judges.folder / "a.jsonl", [])
    assert run(["judge", "--bench-name=demo", f"--answers={answers}", "--judge=rules", NAMES["anchor"]]) == 2
    assert "--judge-anchor is for a search" in capsys.readouterr().err
