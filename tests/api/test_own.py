"""Judges and engines of a caller's own, as every run takes them: in real runs on the demo's models.

Several modules: the objects that callers pass, from the API through engines and judges to the study.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

import tvmerge
from tests.api.conftest import SMALL
from tvmerge.engines.own import own_engines
from tvmerge.errors import ConfigError, StudyError
from tvmerge.protocols import Merger
from tvmerge.records import Answer, Judgment, Question, QuestionId, Sampling, Unrated
from tvmerge.testing import Clock, ScriptedEngine, ScriptedJudge


class Lengths:
    """A judge that likes short answers; it counts what it is asked, and how much at once."""

    name = "lengths"
    fingerprint: ClassVar[Mapping[str, object]] = {"version": 1}
    scale = (-1000.0, 0.0)

    def __init__(self) -> None:
        self.asked = self.now = self.most = 0
        self.closed = False

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return [
            tvmerge.Rating(question.question_id, turn, -float(len(text)), self.name, "length")
            for turn, text in enumerate(answer.turns, start=1)
        ]

    async def close(self) -> None:
        self.closed = True


class Summing(ScriptedEngine):
    """Becomes a model by reading its tensors, and answers with the sum of one of them."""

    fingerprint: Mapping[str, object] = MappingProxyType({"name": "summing", "version": 1})

    def __init__(self, merger: Merger) -> None:
        super().__init__(fingerprint=self.fingerprint)
        self._merger = merger
        self._sum = 0.0

    async def apply(self, recipe: tvmerge.Recipe) -> None:
        await super().apply(recipe)
        self._sum = max(float(tensor.float().sum()) for _, tensor in self._merger.merge(recipe))

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        async for answers in super().generate(questions, sampling):
            yield tuple(Answer(a.question_id, (str(self._sum),), ("stop",), a.sample) for a in answers)


def run(folder: Path, **given: Any) -> tvmerge.RunResult:
    objects = {key: given.pop(key) for key in ("judge", "engine") if key in given}
    return tvmerge.optimize(tvmerge.testing.demo_config(run_dir=folder, **{**SMALL, **given}), **objects)


def test_a_run_takes_a_judge_of_ones_own_and_asks_it_nothing_twice(run_dir: Path, tmp_path: Path) -> None:
    judge = Lengths()
    result = run(run_dir, judge=judge, parallel=3)
    assert (result.judge, result.settings["judge"]) == ("lengths", ("lengths",))
    assert all(trial.value is not None and trial.value <= 0 for trial in result.trials)
    assert (judge.most, judge.closed) == (3, False)
    before = judge.asked
    assert before > 100
    again = run(tmp_path / "again", judge=judge, study_name="again")
    assert [t.value for t in again.trials] == [t.value for t in result.trials]
    assert judge.asked == before


def test_one_answer_is_rated_at_a_time_unless_told_otherwise(run_dir: Path) -> None:
    judge = Lengths()
    run(run_dir, judge=judge, n_trials=1, parallel=None)
    assert judge.most == 1


def test_a_run_takes_an_engine_and_a_judge_and_finds_the_best_weights(run_dir: Path) -> None:
    engine = ScriptedEngine(Clock(1))
    result = run(run_dir, engine=engine, judge=ScriptedJudge(Clock(2)), n_trials=12)
    assert engine.log.count("apply") >= 12
    best = sum(result.recipe.weights.values()) / len(result.recipe.weights)
    assert result.best.search.mean == pytest.approx(10 - 2 * abs(best - 0.75))
    assert abs(best - 0.75) <= 0.25
    assert result.settings["engine"] == '{"own":{"name":"scripted"}}'


def test_several_engines_share_the_work(run_dir: Path) -> None:
    engines = [ScriptedEngine(Clock(1)), ScriptedEngine(Clock(2))]
    run(run_dir, engine=engines, judge=ScriptedJudge(), n_trials=6)
    assert all(engine.log.count("apply") > 1 for engine in engines)


def test_an_engine_can_be_made_of_what_merges_tensors(run_dir: Path) -> None:
    judge = ScriptedJudge(rating=lambda question, answer, turn: float(answer.turns[0]), scale=(-1e6, 1e6))
    result = run(run_dir, engine=Summing, judge=judge)
    assert len({trial.value for trial in result.trials}) == 3
    assert (result.model_folder / "model.safetensors").is_file()


def test_another_engine_or_judge_cannot_go_on_with_a_study(run_dir: Path) -> None:
    run(run_dir, engine=ScriptedEngine(), judge=ScriptedJudge())
    other = ScriptedEngine(fingerprint={"name": "scripted", "version": 2})
    with pytest.raises(StudyError, match="engine"):
        run(run_dir, engine=other, judge=ScriptedJudge(), n_trials=4)
    with pytest.raises(StudyError, match="judge"):
        run(run_dir, engine=ScriptedEngine(), judge=ScriptedJudge(name="another"), n_trials=4)
    with pytest.raises(StudyError, match=r"engine|judge"):
        run(run_dir, n_trials=4)


def test_answers_of_another_engine_are_never_taken_from_the_cache(run_dir: Path, tmp_path: Path) -> None:
    run(run_dir, engine=ScriptedEngine(), judge=ScriptedJudge())
    other = ScriptedEngine(fingerprint={"name": "scripted", "version": 2})
    run(tmp_path / "b", engine=other, judge=ScriptedJudge())
    assert other.log.count("apply") >= 3


def test_a_plan_asks_neither(run_dir: Path) -> None:
    judge, engine = ScriptedJudge(), ScriptedEngine()
    config = tvmerge.testing.demo_config(run_dir=run_dir, **SMALL)
    assert tvmerge.plan(config, judge=judge, engine=engine).left == 3
    assert (judge.started, engine.log) == (0, [])


def test_answers_can_be_rated_by_a_judge_of_ones_own() -> None:
    found = tvmerge.judge(
        {"m": [tvmerge.Answer(1, ("1.75", "0.75"))]}, bench_name="demo", judge=ScriptedJudge()
    )
    assert [r.score for r in found.models[0].judgments if isinstance(r, tvmerge.Rating)] == [8.0, 10.0]


def test_what_a_judge_fails_with_ends_the_run_and_the_rest_is_kept(run_dir: Path) -> None:
    judge = ScriptedJudge(fail_at=250, error=RuntimeError("the judge's own fault"))
    with pytest.raises(RuntimeError, match="the judge's own fault"):
        run(run_dir, engine=ScriptedEngine(), judge=judge)
    found = tvmerge.status(run_dir)
    assert found.told >= 1
    assert not found.held
    again = ScriptedJudge()
    assert len(run(run_dir, engine=ScriptedEngine(), judge=again).trials) == 3
    assert again.started + judge.finished < 3 * 240


class Says(Lengths):
    """A judge that returns what it is told."""

    def __init__(self, said: object) -> None:
        super().__init__()
        self._said = said

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        return self._said  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([tvmerge.Rating(1, 1, float("nan"), "j", "p")], r"nan is not in \[-1000, 0\]"),
        ([tvmerge.Rating(1, 1, 7.0, "j", "p")], r"7 is not in \[-1000, 0\]"),
        ([7.0], "it must return tvmerge.Rating or tvmerge.Unrated, not float"),
        ([tvmerge.Rating(2, 1, -7.0, "j", "p")], "it rated turn 1 of question 2, which was not answered"),
        ([tvmerge.Rating(1, 2, -7.0, "j", "p")], "it rated turn 2 of question 1, which was not answered"),
        ([], "it returned nothing for turn 1; return tvmerge.Unrated"),
    ],
)
def test_what_is_no_judgment_of_the_answer_is_refused(said: object, message: str) -> None:
    with pytest.raises(ConfigError, match=f"the judge 'lengths' on question 1: {message}"):
        tvmerge.judge({"m": [tvmerge.Answer(1, ("a",))]}, bench_name="demo", judge=Says(said))


def test_a_judgment_without_a_rating_is_not_stored() -> None:
    answers = {"m": [tvmerge.Answer(1, ("a",))]}
    silent = Says([Unrated(1, 1, "j", "p", "no answer")])
    assert tvmerge.judge(answers, bench_name="demo", judge=silent).models[0].coverage == 0
    judge = Lengths()
    assert tvmerge.judge(answers, bench_name="demo", judge=judge).models[0].coverage == 1
    assert judge.asked == 1


class Shorter(Lengths):
    """A judge that prefers the shorter answer, and lists the answers it was given with the baseline's."""

    name = "shorter"

    def __init__(
        self,
        says: float | None = None,
        baseline: Mapping[QuestionId, Answer] = MappingProxyType({}),
        compared: list[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__()
        self._says = says
        self._baseline = baseline
        self.compared = [] if compared is None else compared

    def with_baseline(self, answers: Mapping[QuestionId, Answer]) -> Shorter:
        return Shorter(self._says, answers, self.compared)

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        found: list[Judgment] = []
        pairs = zip(answer.turns, self._baseline[question.question_id].turns, strict=True)
        for turn, (ours, theirs) in enumerate(pairs, start=1):
            self.compared.append((ours, theirs))
            won = 0.5 + 0.5 * ((len(ours) < len(theirs)) - (len(ours) > len(theirs)))
            score = won if self._says is None else self._says
            found.append(tvmerge.Rating(question.question_id, turn, score, self.name, "length"))
        return found


def answering(recipe: tvmerge.Recipe, question: Question) -> str:
    """The larger the weight, the shorter the answer."""
    return "a" * round(100 - 10 * recipe.weights["norm"])


def test_a_judge_of_ones_own_compares_in_pairs_and_the_score_is_the_win_rate(run_dir: Path) -> None:
    judge = Shorter()
    result = run(run_dir, judge=judge, engine=ScriptedEngine(answering=answering), judge_mode="pairwise")
    assert [trial.value for trial in result.trials[:2]] == [0.5, 1.0]
    assert {theirs for _, theirs in judge.compared} == {"a" * 100}
    assert (run_dir / "model_judgment" / "shorter_pair.jsonl").is_file()


def test_a_comparison_is_stored_with_the_answer_it_was_made_with(run_dir: Path, tmp_path: Path) -> None:
    judge, engine = Shorter(), ScriptedEngine(answering=answering)
    pairs: dict[str, Any] = {"judge": judge, "engine": engine, "judge_mode": "pairwise"}
    first = run(run_dir, **pairs)
    asked = len(judge.compared)
    again = run(tmp_path / "again", study_name="again", **pairs)
    assert [t.value for t in again.trials] == [t.value for t in first.trials]
    assert len(judge.compared) == asked
    other = run(tmp_path / "other", study_name="other", baseline="weight:1", **pairs)
    assert [trial.value for trial in other.trials[:2]] == [0.0, 0.5]
    assert {theirs for _, theirs in judge.compared[asked:]} == {"a" * 90}


@pytest.mark.parametrize(
    "changed", [{"judge_mode": "single"}, {"baseline": "weight:1"}], ids=["mode", "baseline"]
)
def test_a_study_in_pairs_is_resumed_with_the_same_mode_and_baseline(
    changed: dict[str, Any], run_dir: Path
) -> None:
    pairs: dict[str, Any] = {"judge": Shorter(), "engine": ScriptedEngine(), "judge_mode": "pairwise"}
    run(run_dir, **pairs)
    with pytest.raises(StudyError, match=r"mode|baseline"):
        run(run_dir, **{**pairs, **changed})


def test_a_plan_of_comparisons_asks_nothing(run_dir: Path) -> None:
    judge, config = Shorter(), tvmerge.testing.demo_config(run_dir=run_dir, **SMALL)
    assert tvmerge.plan(config, judge=judge, engine=ScriptedEngine(), judge_mode="pairwise").left == 3
    assert judge.compared == []


def compared(judge: Any, folder: Path) -> Sequence[Judgment]:
    """The judgments of an answer compared with a longer one in a file."""
    file = folder / "theirs.jsonl"
    line = {"question_id": 1, "model_id": "theirs", "choices": [{"index": 0, "turns": ["aaa"]}]}
    file.write_text(json.dumps(line))
    answers = {"ours": [tvmerge.Answer(1, ("a",))]}
    settings: dict[str, Any] = {"bench_name": "demo", "turns": 1, "judge_mode": "pairwise"}
    return tvmerge.judge(answers, judge=judge, baseline=file, **settings).models[0].judgments


def test_existing_answers_are_compared_with_those_of_a_file(tmp_path: Path) -> None:
    judge = Shorter()
    assert [r.score for r in compared(judge, tmp_path) if isinstance(r, tvmerge.Rating)] == [1.0]
    assert judge.compared == [("a", "aaa")]


class Forgetful(Shorter):
    def with_baseline(self, answers: object) -> Any:
        return None


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (Shorter(says=7.0), r"7 is not in \[0, 1\]"),
        (Forgetful(), "with_baseline of the judge 'shorter' must return a judge, got NoneType"),
    ],
    ids=["score", "no judge"],
)
def test_what_is_no_comparison_is_refused(judge: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        compared(judge, tmp_path)


class Nameless(Lengths):
    name = ""


class Undecided(Lengths):
    fingerprint: ClassVar = {}


class Unplain(Lengths):
    fingerprint: ClassVar = {"model": object()}


class Flat(Lengths):
    scale = (1.0, 1.0)


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (object(), "judge must be a name or a judge"),
        (Nameless(), "needs an attribute 'name'"),
        (Undecided(), "needs an attribute 'fingerprint'"),
        (Unplain(), "needs an attribute 'fingerprint'"),
        (Flat(), "must be two rising numbers"),
    ],
    ids=["object", "nameless", "undecided", "unplain", "flat"],
)
def test_a_judge_has_to_say_who_it_is_and_what_decides_its_ratings(judge: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        tvmerge.judge({"m": [tvmerge.Answer(1, ("a",))]}, bench_name="demo", judge=judge)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (7, "engine must be a name, an engine"),
        ([], "engine is empty"),
        (lambda merger: ScriptedEngine(), "needs an attribute 'fingerprint'"),
        (ScriptedEngine(fingerprint={}), "needs an attribute 'fingerprint'"),
        ([ScriptedEngine(), ScriptedEngine(fingerprint={"name": "b"})], "must have the same fingerprint"),
        ([Summing, Summing], "give a single function that makes engines"),
    ],
    ids=["number", "none", "function", "empty", "two kinds", "two makers"],
)
def test_an_engine_has_to_say_what_decides_its_answers(engine: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        own_engines(engine)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"judge": Lengths(), "max_cost": 3}, "max_cost is for judges that tvmerge asks"),
        ({"judge": Lengths(), "judge_mode": "pairwise"}, "'lengths' has no method 'with_baseline'"),
        ({"engine": ScriptedEngine(), "engine_options": {"n": 1}}, "engine_options is for tvmerge's own"),
        ({"engine": ScriptedEngine(), "device": "cpu"}, "device is for tvmerge's own engines"),
        ({"engine": ScriptedEngine(), "engines": 2}, "engines is for tvmerge's own engines"),
    ],
    ids=["money", "pairs", "options", "device", "number"],
)
def test_settings_that_mean_nothing_to_an_object_are_refused(
    settings: dict[str, Any], message: str, run_dir: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(run_dir, **settings)
    assert not (run_dir / "study.db").exists()
