"""A run's winner as GGUF files: what is written, asked, told and kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.llama_cpp import calls, requests, write_programs
from tests.small_runs import small_run
from tvmerge.config import RunConfig
from tvmerge.dry_run.plan import plan_run
from tvmerge.errors import ConfigError, OutputError
from tvmerge.report.result_file import read_record
from tvmerge.report.run_result import RunResult
from tvmerge.run.optimize import optimize

HELD_OUT = 8


@dataclass(frozen=True)
class Place:
    """A small run, and the programs that write its files and answer with them."""

    config: RunConfig
    programs: Path
    cache: Path

    @property
    def folder(self) -> Path:
        return self.config.run_folder

    def run(self) -> RunResult:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TVMERGE_CACHE_DIR", str(self.cache))
            return asyncio.run(optimize(self.config))


@pytest.fixture(scope="module")
def configure(demo_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Place]:
    """Makes a run whose search and comparison are in the cache after the first."""
    shared = tmp_path_factory.mktemp("shared")
    rows = [
        {
            "question_id": i,
            "category": "math",
            "turns": [f"{i}たす2は？"],
            "reference": [str(i + 2)],
            "split": "holdout" if i < HELD_OUT else "search",
        }
        for i in range(HELD_OUT + 2)
    ]
    bench = shared / "bench"
    bench.mkdir()
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (bench / "question.jsonl").write_text(text, encoding="utf-8")

    def made(folder: Path, **settings: Any) -> Place:
        programs = write_programs(folder / "programs")
        usual = small_run(
            demo_models,
            bench,
            "rules",
            folder,
            n_trials=2,
            confirm_candidates=1,
            max_new_tokens=8,
            quantise=("q4_k_m", "q8_0"),
            llama_cpp=str(programs),
        )
        return Place(RunConfig(**usual | settings), programs, shared / "cache")

    return made


@pytest.fixture(scope="module")
def place(configure: Callable[..., Place], tmp_path_factory: pytest.TempPathFactory) -> Place:
    return configure(tmp_path_factory.mktemp("quantised"))


@pytest.fixture(scope="module")
def found(place: Place) -> RunResult:
    return place.run()


def test_each_file_is_written_beside_the_model_and_scored_on_the_questions_of_the_comparison(
    place: Place, found: RunResult
) -> None:
    assert calls(place.programs) == ["vocabulary", "BF16", "Q4_K_M", "Q8_0"]
    assert [form.type for form in found.quantised] == ["Q4_K_M", "Q8_0"]
    for form in found.quantised:
        assert form.file == str(place.folder / "model-gguf" / f"model-{form.type}.gguf")
        assert form.nbytes == Path(form.file).stat().st_size
        assert form.holdout.n == HELD_OUT
    asked = requests(place.programs)
    assert [request["type"] for request in asked] == ["Q4_K_M"] * HELD_OUT + ["Q8_0"] * HELD_OUT


def test_what_is_lost_is_paired_by_question_with_the_unquantised_winner(found: RunResult) -> None:
    whole = found.best.holdout
    assert whole is not None
    for form in found.quantised:
        assert form.lost is not None
        assert form.lost.n == HELD_OUT
        assert form.lost.difference == pytest.approx(whole.mean - form.holdout.mean)
        assert form.lost.low <= form.lost.difference <= form.lost.high


def test_the_loss_stands_in_every_result_and_comes_back_from_the_file(place: Place, found: RunResult) -> None:
    record = read_record(place.folder / "result.json", found.trials)
    assert record.quantised == found.quantised
    assert "the winner as GGUF files" in str(found)
    page = (place.folder / "report.html").read_text(encoding="utf-8")
    assert 'id="quantised"' in page
    assert "As Q4_K_M the winner" in page


def test_the_answers_of_each_file_are_kept_beside_those_of_the_unquantised_winner(
    place: Place, found: RunResult
) -> None:
    logs = place.folder / "holdout" / "model_answer"
    names = [str(found.best.trial), *(f"{found.best.trial}-{form.type}" for form in found.quantised)]
    for name in names:
        rows = [json.loads(line) for line in (logs / f"{name}.jsonl").read_text().splitlines()]
        assert [row["question_id"] for row in rows] == list(range(HELD_OUT))
    [judged] = (place.folder / "holdout" / "model_judgment").iterdir()
    models = {json.loads(line)["model"] for line in judged.read_text().splitlines()}
    assert models >= set(names)


def test_the_same_command_again_makes_and_asks_nothing(place: Place, found: RunResult) -> None:
    before = calls(place.programs), requests(place.programs)
    assert place.run().quantised == found.quantised
    assert calls(place.programs) == [*before[0], "vocabulary"]
    assert requests(place.programs) == before[1]


def test_a_type_that_is_added_is_the_only_one_that_is_made_and_asked(place: Place, found: RunResult) -> None:
    before = requests(place.programs)
    more = replace(place, config=replace(place.config, quantise=("q8_0", "q5_0"))).run()
    assert more.quantised[0] == found.quantised[1]
    assert calls(place.programs)[-3:] == ["vocabulary", "BF16", "Q5_0"]
    assert [request["type"] for request in requests(place.programs)[len(before) :]] == ["Q5_0"] * HELD_OUT


def test_a_server_that_does_not_start_leaves_the_result_of_the_run(
    configure: Callable[..., Place], tmp_path: Path
) -> None:
    place = configure(tmp_path, quantise=("q3_k_m",))
    (place.programs / "unwell").touch()
    with pytest.raises(
        OutputError, match=r"llama-server with Q3_K_M crashed 3 times.*failed to load"
    ) as told:
        place.run()
    assert isinstance(told.value.result, RunResult)
    assert told.value.result.best.holdout is not None
    assert json.loads((place.folder / "result.json").read_text())["quantised"] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"holdout": 0.0},
            "--quantise scores the winner's files on held-out questions, and none are held out",
        ),
        ({"quantise": ("q9",)}, "--quantise q9: llama-quantize knows no such type"),
        ({"llama_cpp": "nowhere"}, "--llama-cpp nowhere is not a folder"),
    ],
)
def test_what_cannot_be_scored_is_told_before_anything_is_loaded(
    configure: Callable[..., Place], tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    place = configure(tmp_path, **settings)
    with pytest.raises(ConfigError, match=message):
        place.run()
    assert not (place.folder / "study.db").exists()


def test_a_plan_counts_the_files_and_what_they_are_asked(
    configure: Callable[..., Place], tmp_path: Path
) -> None:
    place = configure(tmp_path)
    plan = str(asyncio.run(plan_run(place.config, lambda line: None))).replace(f"{place.programs}/", "")
    files = "GGUF files: Q4_K_M (about 0.6 MB), Q8_0 (about 1.0 MB)"
    assert f"{files} in {place.folder}/model-gguf; BF16 (1.8 MB) while they are made\n" in plan
    assert f"GGUF answers: {HELD_OUT} answers of each file in llama-server, likely more than" in plan
    assert not place.folder.exists()
