"""Measures a large report in a real browser: `python -m perf.report [--out FILE] [--long]`.

1,000 trials with 291 weights, and 500 questions of two turns, each answered by four candidates. Answers have
some hundred characters, or with `--long` up to three thousand; no two are alike. Prints the time to make the
page, its size, the time until a browser shows the first questions, and the number of elements then. Needs
Chromium and playwright.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

from tvmerge.records import Answer, Estimate, Question, Rating, Recipe, Trial
from tvmerge.report.page.page import write_page
from tvmerge.report.result import Contender, ContenderKey, RunRecord, Sample

TRIALS, QUESTIONS, OPENINGS = 1_000, 500, 5
KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "in_norm", "out_norm")
GROUPS = (
    "embed_tokens",
    *(f"layers.{layer}.{kind}" for layer in range(32) for kind in KINDS),
    "norm",
    "lm_head",
)
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]

_LETTERS = "".join(map(chr, (*range(0x3042, 0x3094), *range(0x4E00, 0x5000))))
_WORDS = "回答は自然で読みやすい日本語です。説明も正確ですが、例が少なく、やや表面的です。" * 5


def main() -> None:
    """Make the page, open it several times and print what was measured."""
    parser = argparse.ArgumentParser(description="Measures a large report in a real browser.")
    parser.add_argument("--out", type=Path, help="where to leave the page")
    parser.add_argument("--long", action="store_true", help="longer answers")
    given = parser.parse_args()
    out = given.out or Path(tempfile.mkdtemp()) / "report.html"
    record = large_record(longest=3_000 if given.long else 500)
    started = time.perf_counter()
    write_page(out, record)
    print(f"{len(record.trials):,} trials of {len(GROUPS)} weights, {QUESTIONS} questions")
    print(f"made in {time.perf_counter() - started:.1f} s, {out.stat().st_size / 1e6:.1f} MB: {out}")
    seconds, elements = opened(out)
    print(f"first questions after {median(seconds):.2f} s (median of {len(seconds)}), {elements:,} elements")


def opened(page: Path) -> tuple[list[float], int]:
    """Return the seconds until the first questions are drawn, and the elements in the document then."""
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for _ in range(OPENINGS):
            tab = browser.new_page(viewport={"width": 1200, "height": 900})
            started = time.perf_counter()
            tab.goto(page.resolve().as_uri(), wait_until="commit")
            tab.locator("article").first.wait_for()
            tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            seconds.append(time.perf_counter() - started)
            elements: int = tab.evaluate("document.querySelectorAll('*').length")
            tab.close()
        browser.close()
    return seconds, elements


def large_record(longest: int = 500) -> RunRecord:
    """Return a run as large as they get, with answers of up to so many letters."""
    draw = random.Random(1)
    trials = tuple(_trials(draw))
    levels: dict[ContenderKey, float] = {"best": 7.0, "weight_0": 4.5, "weight_1": 6.0, "uniform": 6.3}
    weights: dict[ContenderKey, Mapping[str, float]] = {
        "best": trials[-1].recipe.weights,
        "weight_0": dict.fromkeys(GROUPS, 0.0),
        "weight_1": dict.fromkeys(GROUPS, 1.0),
        "uniform": dict.fromkeys(GROUPS, 0.75),
    }
    contenders = tuple(
        Contender(
            key=key,
            trial=number,
            weights=given,
            search=Estimate(levels[key], 0.1, 200),
            holdout=Estimate(levels[key], 0.1, QUESTIONS),
            gain=None,
            samples=tuple(_samples(draw, levels[key], longest)),
        )
        for number, (key, given) in enumerate(weights.items())
    )
    return RunRecord(
        study="large",
        benchmark="large",
        judge="judge-x",
        models={"target": "target", "base": "base", "tuned": "tuned"},
        weight_range=(0.0, 2.0),
        contenders=contenders,
        trials=trials,
    )


def _trials(draw: random.Random) -> Iterator[Trial]:
    for number in range(TRIALS):
        weights = {group: draw.uniform(0, 2) for group in GROUPS}
        score = 6 - sum((weights[group] - 1) ** 2 for group in GROUPS[:40]) / 20 + draw.gauss(0, 0.1)
        attrs = {"se": 0.1, "n": 200, "coverage": 1.0}
        yield Trial(number, Recipe(weights), score, "COMPLETE", attrs)


def _samples(draw: random.Random, level: float, longest: int) -> Iterator[Sample]:
    for number in range(QUESTIONS):
        asked = Question(number, f"category {number % 8}", ("日本の四季について説明してください。",) * 2)
        turns = tuple("".join(draw.choices(_LETTERS, k=draw.randint(100, longest))) for _ in range(2))
        ratings = tuple(
            Rating(number, turn, _rating(draw, level), "judge-x", "single-v1", reply=_WORDS)
            for turn in (1, 2)
        )
        yield Sample(asked, Answer(number, turns, ("stop", "stop")), ratings)


def _rating(draw: random.Random, level: float) -> float:
    return float(min(10, max(1, math.floor(draw.gauss(level, 2)))))


if __name__ == "__main__":
    main()
