"""Measures how long a search by blocks thinks: the time of an ask, and of one with a refit.

    OMP_NUM_THREADS=1 python -m perf.asks [--candidates 100 200 400] [--weights 8 48 291] [--rounds 9]
        [--questions 80]

A round is what a search does between two blocks, without the models: it tells the scores of a block, picks
the recommended candidate and makes the next ask. Times are seconds of the processor, so that other programs
on the machine matter little, and include the study in memory but no file. Before a refit, the study holds as
many asks as hyperparameters are fitted from next, and one less.

It prints the medians of the rounds. Targets, with 400 candidates: an ask and a refit take at most half a
second with 48 weights, and two seconds with 291.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import optuna

from tvmerge.study.blocks.sampler import REFITS, BlockSampler
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.blocks.table import BLOCKS, Ask
from tvmerge.study.space import Space
from tvmerge.study.study import distributions
from tvmerge.study.warm_start import InitialTrials

BLOCK = 4

KINDS = (
    *(f"self_attn.{part}_proj" for part in "qkvo"),
    *(f"mlp.{part}_proj" for part in ("gate", "up", "down")),
    "input_layernorm",
    "post_attention_layernorm",
)
"""Tensors of a layer."""


@dataclass(frozen=True)
class Case:
    """A search that has come so far.

    Attributes:
        weights: The number of weights.
        candidates: The number of candidates.
        window: The most asks in flight.
        seed: Seed of the candidates, their scores and the search.
        questions: The number of questions.
    """

    weights: int
    candidates: int
    window: int
    seed: int
    questions: int

    @property
    def space(self) -> Space:
        """The weights searched."""
        return Space(names(self.weights), 0.0, 2.0)

    @property
    def asks(self) -> int:
        """How many asks have been told: one less than the next refit takes."""
        return next(size for size in REFITS if size > 1.05 * self.candidates) - 1

    def told(self, number: int, recipe: Sequence[float]) -> Told:
        """Scores of a block, which are higher around 0.7."""
        rng = np.random.default_rng([self.seed, number])
        level = 8 - 4 * float(np.mean((np.array(recipe) - 0.7) ** 2))
        return Told(tuple(np.clip(np.round(level + rng.normal(0, 1.5, BLOCK)), 1, 10).tolist()), {})


def names(weights: int) -> tuple[str, ...]:
    """Names of so many weights, as a decoder has them: one a layer, or one a tensor."""
    if weights < 2 + len(KINDS):
        return ("embeddings", *(f"layers.{n}" for n in range(weights - 3)), "norm", "head")[:weights]
    tensors = (f"model.layers.{n}.{kind}" for n in count() for kind in KINDS)
    inner = (next(tensors) for _ in range(weights - 3))
    return ("model.embed_tokens.weight", *inner, "model.norm.weight", "lm_head.weight")


def stored(case: Case) -> BlockStudy:
    """Return a study in memory that has come as far as the case."""
    rng = np.random.default_rng(case.seed)
    space = case.space
    rows: list[list[list[object]]] = [[] for _ in range(case.candidates)]
    points = np.clip(rng.normal(0.8, 0.3, (case.candidates, case.weights)), 0, 2)
    for number in range(case.asks + case.window - 1):
        trial = number if number < case.candidates else int(rng.integers(case.candidates // 10))
        start = (trial + len(rows[trial])) * BLOCK % case.questions
        known = number < case.asks
        scores = list(case.told(number, points[trial].tolist()).scores) if known else None
        rows[trial].append([number, start, start + BLOCK, scores])
    storage = optuna.storages.InMemoryStorage()
    study_id = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE])
    for point, asks in zip(points.tolist(), rows, strict=True):
        made = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=dict(zip(space.names, point, strict=True)),
            distributions=distributions(space),
            user_attrs={BLOCKS: asks},
        )
        storage.create_new_trial(study_id, template_trial=made)
    initial = InitialTrials((space.uniform(0), space.uniform(1)))
    sampler = BlockSampler(BlockSearch(space, initial, case.questions, 9.0, case.seed), BLOCK)
    return BlockStudy(storage, study_id, space, sampler, window=case.window)


def timed(case: Case, study: BlockStudy) -> float:
    """Return the processor's seconds of a round."""
    oldest: Ask = study.running()[0]
    told = case.told(oldest.number, list(study.trials[oldest.trial].recipe.weights.values()))
    begun = time.process_time()
    study.tell(oldest, told)
    study.best()
    study.ask()
    return time.process_time() - begun


def measure(weights: int, candidates: int, window: int, rounds: int, questions: int) -> str:
    """Return a line of the table."""
    refits, asks = [], []
    for seed in range(3):
        case = Case(weights, candidates, window, seed, questions)
        study = stored(case)
        study.ask()  # fits the hyperparameters of all earlier refits
        refits.append(timed(case, study))
        asks += [timed(case, study) for _ in range(rounds)]
    ask, refit = statistics.median(asks), statistics.median(refits)
    return f"{weights:10} {candidates:10} {window:10} {ask:10.3f} {refit:10.3f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every size."""
    parser = argparse.ArgumentParser(
        "python -m perf.asks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=int, nargs="+", default=[8, 48, 291])
    parser.add_argument("--candidates", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=9, help="rounds without a refit, of each of 3 seeds")
    parser.add_argument("--questions", type=int, default=80, help="questions of the search")
    args = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print("seconds of the processor, medians")
    print(f"{'weights':>10} {'candidates':>10} {'in flight':>10} {'ask':>10} {'and refit':>10}")
    for weights in args.weights:
        for candidates in args.candidates:
            for window in args.windows:
                print(measure(weights, candidates, window, args.rounds, args.questions), flush=True)


if __name__ == "__main__":
    main()
