"""Tests with kill -9 that a killed and resumed run ends like one that was never killed.

    python -m perf.resume [--samplers TPE CMA-ES auto] [--runs 40] [--seed 0] [--jobs 2]

A study of the demo's models (TPE and CMA-ES with races, and auto, which asks blocks of questions; one and
four asks in flight; a judge over a loopback network through the real SDK) is killed one to three times, at
random moments, and resumed. Its table (numbers, weights, blocks, scores, states and attributes) must equal
that of the study that was never killed. With four asks in flight, random delays in engine and judge must not
change the table.

It prints each run, then the total. Targets: no table differs; at least half of the kills come after the first
ask that was told, and at least a quarter with judge calls in flight; races stop at least a fifth of the
trials; only calls that were in flight at a kill are repeated.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cli.killing import PARALLEL, Ended, Hit, Kill, Setting, play, write_benchmark

SAMPLERS = ("TPE", "CMA-ES", "auto")
FIRST_TRIAL = 48
"""Number of judge calls of the first trial."""


@dataclass(frozen=True)
class Played:
    """A killed study, and its reference."""

    number: int
    setting: Setting
    ended: Ended
    expected: Ended

    @property
    def same(self) -> bool:
        """Whether the table is that of the reference."""
        return self.ended.table == self.expected.table

    @property
    def thrifty(self) -> bool:
        """Whether only calls that may have been in flight were repeated."""
        return self.ended.asked_again <= PARALLEL * len(self.ended.hits)

    def __str__(self) -> str:
        hits = ", ".join(f"{hit.told} told and {hit.in_flight} in flight" for hit in self.ended.hits)
        stopped = f"{self.ended.stopped:.0%} of the trials stopped; " if self.setting.races else ""
        return (
            f"run {self.number:2} {self.setting}: killed at {hits}; {stopped}"
            f"{self.ended.asked_again} of {len(self.ended.prompts)} calls asked again; "
            f"{'the same table' if self.same else 'ANOTHER TABLE'}"
        )


def plan(rng: random.Random, calls: int) -> Iterator[Kill]:
    """Return one to three kills of a run with `calls` judge calls: early, during calls, or at any time."""
    done = 0
    for number in range(rng.randint(1, 3)):
        if number == 0 and rng.random() < 0.4:
            yield Kill(rng.choice((0, rng.randrange(FIRST_TRIAL))), rng.uniform(0, 2), held=False)
            continue
        answered = rng.randrange(calls - done - 1)
        done += answered
        yield Kill(answered, rng.uniform(0, 0.5), held=rng.random() < 0.5)


def settings(samplers: Sequence[str]) -> tuple[Setting, ...]:
    """The studies of the campaign; candidates are many where each answers few questions."""
    return tuple(
        Setting(sampler, window, trials=12 if sampler == "auto" else 20)
        for sampler in samplers
        for window in (1, 4)
    )


def killed(folder: Path, seed: int, references: Mapping[Setting, Ended], number: int) -> Played:
    """Do one run of the campaign."""
    setting = tuple(references)[number % len(references)]
    expected = references[setting]
    kills = list(plan(random.Random(f"{seed} {number}"), len(expected.prompts)))
    ended = play(folder / str(number), folder / "bench", setting, kills)
    return Played(number, setting, ended, expected)


def total(runs: Sequence[Played], delayed: Mapping[Setting, bool]) -> bool:
    """Print the results of all runs; return whether the targets are met."""
    hits: list[Hit] = [hit for run in runs for hit in run.ended.hits]
    told = sum(hit.told > 0 for hit in hits) / len(hits)
    in_flight = sum(hit.in_flight > 0 for hit in hits) / len(hits)
    stopped = min((run.ended.stopped for run in runs if run.setting.races), default=1.0)
    other = sum(not run.same for run in runs)
    print(
        f"{len(runs)} runs, {len(hits)} kills: {told:.0%} after the first told ask, "
        f"{in_flight:.0%} with calls in flight; "
        f"races stopped {stopped:.0%} of the trials or more; "
        f"at most {max(run.ended.asked_again for run in runs)} calls asked again in a run; "
        f"{other} tables differ"
    )
    for setting, same in delayed.items():
        print(f"{setting} with random delays: {'the same table' if same else 'ANOTHER TABLE'}")
    aims = (other == 0, told >= 0.5, in_flight >= 0.25, stopped >= 0.2, *delayed.values())
    return all(aims) and all(run.thrifty and run.ended.hits for run in runs)


def main() -> None:
    """Run the campaign; the exit code is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS, choices=SAMPLERS)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(args.jobs) as pool:
        folder = Path(name)
        studies = settings(args.samplers)
        bench = write_benchmark(folder / "bench", studies[0])
        whole = [pool.submit(play, folder / f"whole {s}", bench, s) for s in studies]
        references = {s: future.result() for s, future in zip(studies, whole, strict=True)}
        slow = {
            s: pool.submit(play, folder / f"slow {s}", bench, s, delays=args.seed)
            for s in studies
            if s.window > 1
        }
        runs = []
        for run in pool.map(partial(killed, folder, args.seed, references), range(args.runs)):
            print(run, flush=True)
            runs.append(run)
        delayed = {s: future.result().table == references[s].table for s, future in slow.items()}
    raise SystemExit(0 if total(runs, delayed) else 1)


if __name__ == "__main__":
    main()
