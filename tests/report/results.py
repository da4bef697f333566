"""Results of runs as a real run would make them, drawn from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tvmerge.records import (
    Answer,
    Difference,
    Estimate,
    Finish,
    Judgment,
    Question,
    Rating,
    Recipe,
    Trial,
    Unrated,
)
from tvmerge.report.result import Contender, ContenderKey, QuantisedWinner, RunRecord, Sample
from tvmerge.scoring.intervals import paired_interval
from tvmerge.scoring.statistics import estimate

LAYERS = ("embeddings", *(f"layers.{index}" for index in range(22)), "norm", "head")

_TURNS = (
    ("日本の四季について、小学生にもわかるように説明してください。", "それを三行の詩にしてください。"),
    ("次の文を英語に訳してください。「猫が縁側で昼寝をしている。」", "では、過去形にしてください。"),
    ("太郎君はりんごを12個持っています。3人で等しく分けると一人何個ですか。", "5人ではどうなりますか。"),
)
_CATEGORIES = ("writing", "humanities", "math")


def question(number: int) -> Question:
    """A question of two turns in Japanese."""
    kind = number % 3
    reference = ("4個です。", "2個ずつで、2個余ります。") if kind == 2 else ()
    return Question(number, _CATEGORIES[kind], _TURNS[kind], reference, needs_reference=kind == 2)


def sample(
    asked: Question, ratings: Sequence[float | None], *, text: str = "", cut_off: bool = False
) -> Sample:
    """An answer with one rating per turn; None: the judge gave none."""
    reply = (
        text or "春は桜が咲き、夏は海が輝きます。秋は紅葉、冬は雪。どの季節にも、それぞれの美しさがあります。"
    )
    turns = tuple(reply for _ in ratings)
    judgments: list[Judgment] = []
    for turn, rating in enumerate(ratings, start=1):
        if rating is None:
            reason = "no rating in the reply"
            judgments.append(Unrated(asked.question_id, turn, "judge-x", "single-v1", reason))
        else:
            words = f"自然で読みやすい日本語です。説明も正確です。\n\nRating: [[{rating:g}]]"
            judgments.append(Rating(asked.question_id, turn, rating, "judge-x", "single-v1", reply=words))
    finish: tuple[Finish, ...] = ("length" if cut_off else "stop",) * len(turns)
    return Sample(asked, Answer(asked.question_id, turns, finish), tuple(judgments))


def samples(level: float, n: int, seed: int, spread: float = 1.0) -> tuple[Sample, ...]:
    """Answers to `n` questions, rated around `level`."""
    noise, difficulty = random.Random(seed), random.Random(99)
    rated = []
    for number in range(81, 81 + n):
        centre = level + difficulty.gauss(0, 1.2)
        ratings = [min(10.0, max(1.0, round(centre + noise.gauss(0, spread)))) for _ in range(2)]
        rated.append(sample(question(number), ratings))
    return tuple(rated)


def judgments(found: Sequence[Sample]) -> list[Judgment]:
    return [judgment for item in found for judgment in item.judgments]


def contender(
    key: ContenderKey,
    weights: Mapping[str, float],
    search: float,
    holdout: float | None,
    gain: tuple[float, float, float] | None = None,
    *,
    n: int = 24,
    trial: int | None = None,
    answers: tuple[Sample, ...] = (),
) -> Contender:
    """A contender with the numbers given."""
    return Contender(
        key=key,
        trial=trial,
        weights=weights,
        search=Estimate(search, 0.21, 56),
        holdout=None if holdout is None else Estimate(holdout, 0.25, n),
        gain=None if gain is None else Difference(*gain, n),
        samples=answers,
    )


def uniform(weight: float, groups: Sequence[str] = LAYERS) -> dict[str, float]:
    return dict.fromkeys(groups, weight)


def varied(groups: Sequence[str] = LAYERS, seed: int = 3) -> dict[str, float]:
    draw = random.Random(seed)
    return {group: max(0.0, min(2.0, 0.9 + draw.gauss(0, 0.5))) for group in groups}


def trials(n: int, seed: int = 5) -> tuple[Trial, ...]:
    """Trials whose scores rise slowly; every eleventh fails."""
    draw, found = random.Random(seed), []
    for number in range(n):
        weights = uniform(float(number)) if number < 2 else varied(seed=number)
        if number % 11 == 10:
            found.append(Trial(number, Recipe(weights), None, "FAIL", {"coverage": 0.4, "n": 22}))
            continue
        level = 4.4 if number == 0 else 5.2 + 1.5 * (1 - math.exp(-number / 25))
        value = round(level + draw.gauss(0, 0.35), 4)
        found.append(
            Trial(number, Recipe(weights), value, "COMPLETE", {"se": 0.21, "n": 56, "coverage": 1.0})
        )
    return tuple(found)


def result(contenders: Sequence[Contender], told: Sequence[Trial] | None = None) -> RunRecord:
    """A run with the contenders given."""
    return RunRecord(
        study="swallow-ja-mt-bench",
        benchmark="ja_mt_bench",
        judge="judge-x",
        models={"target": "swallow-7b", "base": "mistral-7b", "tuned": "mistral-7b-instruct"},
        weight_range=(0.0, 2.0),
        contenders=tuple(contenders),
        trials=trials(40) if told is None else tuple(told),
        settings={"optimize_mode": "layer", "n_trials": 40, "uniform_weights": [0.5], "chat_template": None},
        output="runs/swallow-ja-mt-bench/model",
        seconds=8_040.0,
    )


def simple(
    gain_1: tuple[float, float, float] = (0.52, 0.2, 0.84),
    *,
    best: float = 6.7,
    weight_1: float = 6.18,
    weight_0: float = 4.4,
) -> RunRecord:
    """A run with held-out scores and the gain over weight 1 as given."""
    return result(
        [
            contender("best", varied(), 7.4, best, trial=23),
            contender("weight_0", uniform(0), 4.5, weight_0, (best - weight_0, 1.4, 3.1), trial=0),
            contender("weight_1", uniform(1), 6.3, weight_1, gain_1, trial=1),
            contender("uniform", uniform(0.7), 6.5, 6.0, (0.7, -0.1, 1.5), trial=2),
        ]
    )


def few(n: int, gain: tuple[float, float, float] = (0.5, 0.2, 0.8)) -> RunRecord:
    """A run whose gains rest on `n` held-out questions."""
    run = simple(gain)
    contenders = (
        replace(
            c,
            holdout=None if c.holdout is None else replace(c.holdout, n=n),
            gain=None if c.gain is None else replace(c.gain, n=n),
        )
        for c in run.contenders
    )
    return replace(run, contenders=tuple(contenders))


def without_holdout() -> RunRecord:
    """A run whose benchmark was searched whole."""
    return result(
        [
            contender("best", varied(), 7.4, None, trial=23),
            contender("weight_0", uniform(0), 4.5, None, trial=0),
            contender("weight_1", uniform(1), 6.3, None, trial=1),
        ]
    )


def rated(
    n: int = 12, groups: Sequence[str] = LAYERS, told: Sequence[Trial] | None = None, lift: float = 0.9
) -> RunRecord:
    """A run whose every number follows from its answers and judgments, as in a real one."""
    answers: dict[ContenderKey, tuple[Sample, ...]] = {
        "best": samples(5.8 + lift, n, 1),
        "weight_0": samples(4.3, n, 2),
        "weight_1": samples(5.8, n, 3),
        "uniform": samples(6.0, n, 4),
    }
    weights: dict[ContenderKey, dict[str, float]] = {
        "best": varied(groups),
        "weight_0": uniform(0, groups),
        "weight_1": uniform(1, groups),
        "uniform": uniform(0.7, groups),
    }
    scores = {"best": 6.95, "weight_0": 4.4, "weight_1": 5.6, "uniform": 5.9}
    best = judgments(answers["best"])
    found = [
        Contender(
            key=key,
            trial=number,
            weights=weights[key],
            search=Estimate(scores[key], 0.21, 56),
            holdout=estimate(judgments(given)),
            gain=None if key == "best" else paired_interval(best, judgments(given)),
            samples=given,
        )
        for number, (key, given) in zip((23, 0, 1, 2), answers.items(), strict=True)
    ]
    return result(found, told)


def by_blocks(run: RunRecord) -> RunRecord:
    """The run as if its trials had been asked four questions each, and their scores were estimates."""
    trials = (replace(t, attrs={**t.attrs, "mean": (t.value or 0) + 0.1, "questions": 4}) for t in run.trials)
    return replace(run, trials=tuple(trials))


def quantised(run: RunRecord) -> RunRecord:
    """The run with its winner in files that lose much, something and nothing, and one with few ratings."""
    forms = {
        "Q2_K": Difference(0.8, 0.5, 1.1, 30),
        "Q4_K_M": Difference(0.1, -0.2, 0.4, 30),
        "Q6_K": Difference(-0.05, -0.3, 0.2, 30),
        "Q8_0": Difference(0.0, -0.1, 0.1, 30),
        "IQ4_XS": Difference(-0.3, -0.5, -0.1, 30),
        "Q3_K_S": Difference(0.3, 0.1, 0.5, 5),
        "Q5_0": Difference(0.3, math.nan, math.nan, 30),
        "IQ1_S": None,
    }
    return replace(
        run,
        quantised=tuple(
            QuantisedWinner(
                kind,
                f"runs/s/model-gguf/model-{kind}.gguf",
                4_580_000_000 + number,
                Estimate(6.7 - (0.0 if lost is None else lost.difference), 0.3, 30),
                lost,
                "20 of 30 judgments have no rating" if lost is None else "",
            )
            for number, (kind, lost) in enumerate(forms.items())
        ),
    )
