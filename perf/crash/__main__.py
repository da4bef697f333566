"""Breaks runs off with kill -9 in all of their stages, and has them go on until they are done.

    python -m perf.crash [--kills 60] [--seed 0] [--stages "waiting to be stored" ...]

Small studies of the demo's models (`auto`, which asks blocks of questions, and TPE with races) ask a judge
over a loopback network, through the real SDK. Each is killed up to three times, at random moments of the
stages that were hit least so far, and then runs to its end. It must end like one that nobody killed: the same
table, result, logs and model, no file left over, and no request paid twice.

It prints each study, then a table by stage. What cannot be known is whether a provider bills the requests
that a kill cut off: they are counted as on the wire, at most `--parallel` of them a kill.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from perf.crash.ended import Account, Ended, account, read_ended
from perf.crash.references import References
from perf.crash.stages import STAGES, START
from perf.crash.study import SETTINGS, Hit, Study, draw, in_order
from tests.cli.killing import Setting
from tests.cli.slowness import SlowJudge

KILLS_EACH = 3
"""Kills of one study at most."""


@dataclass(frozen=True)
class Played:
    """A study that was killed, and then ran to its end.

    Attributes:
        setting: The study.
        hits: Its kills.
        wrong: What is not as it should be, in words.
        requests: Where its requests went; None if it did not come to an end.
    """

    setting: Setting
    hits: Sequence[Hit]
    wrong: Sequence[str]
    requests: Account | None

    def __str__(self) -> str:
        hits = ", ".join(f"{hit.stage} ({hit.in_flight} in flight)" for hit in self.hits)
        return f"{self.setting} killed in {hits or 'nothing'}: {self.requests}; {self.verdict}"

    @property
    def verdict(self) -> str:
        """What is wrong, or that nothing is."""
        return "; ".join(self.wrong).upper() if self.wrong else "ended the same"


class Campaign:
    """Studies in a folder, each killed in other stages.

    Args:
        folder: Where they are.
        seed: Of the moments of the kills.
        stages: Those in which studies are killed.
    """

    def __init__(self, folder: Path, seed: int, stages: Sequence[str] = (START, *STAGES)) -> None:
        self._references = References(folder, seed)
        self._seed = seed
        self.aimed: Counter[str] = Counter(dict.fromkeys(stages, 0))

    def play(self, number: int, kills: int) -> Played:
        """Kill a study `kills` times at most, and have it end."""
        setting = SETTINGS[number % len(SETTINGS)]
        whole = self._references.whole(setting)
        rng = Random(f"{self._seed} {number}")
        with SlowJudge(seed=self._seed + number) as judge:
            study = self._references.study(str(number), setting, judge)
            hits = []
            for stage in self._next(kills, rng):
                hit = study.strike(draw(rng, stage, whole.timeline))
                hits += [] if hit is None else [hit]
            return _played(study, hits, whole.ended)

    def _next(self, count: int, rng: Random) -> list[str]:
        """Return the stages that were aimed at least, in the order of a run."""
        stages: list[str] = []
        for _ in range(count):
            stages.append(min(self.aimed, key=lambda stage: (self.aimed[stage], rng.random())))
            self.aimed[stages[-1]] += 1
        return in_order(stages)


def _played(study: Study, hits: Sequence[Hit], whole: Ended) -> Played:
    code = study.finish()
    if code != 0:
        said = " ".join(study.log.split()[-60:])
        return Played(study.setting, hits, [f"exit code {code}: {said}"], None)
    ended = read_ended(study)
    requests = account(hits, ended.books)
    wrong = ended.differs_from(whole)
    if not requests.balanced:
        wrong.append("requests that are not accounted for")
    if "Traceback" in study.log or "bug in tvmerge" in study.log:
        wrong.append("a traceback")
    return Played(study.setting, hits, wrong, requests)


def total(runs: Sequence[Played]) -> bool:
    """Print the kills by stage and the requests of all studies; return whether nothing is wrong."""
    rows: Mapping[str, list[tuple[Hit, Played]]] = {stage: [] for stage in (START, *STAGES)}
    for run in runs:
        for hit in run.hits:
            rows[hit.stage].append((hit, run))
    print(f"{'killed while':24}{'kills':>7}{'with calls in flight':>22}{'ended the same':>16}")
    for stage, hits in rows.items():
        flying = sum(hit.in_flight > 0 for hit, _ in hits)
        same = sum(not run.wrong for _, run in hits)
        print(f"{stage:24}{len(hits):7}{flying:22}{same:16}")
    done = [run.requests for run in runs if run.requests is not None]
    kills = sum(len(run.hits) for run in runs)
    print(
        f"{len(runs)} studies, {kills} kills: {sum(not run.wrong for run in runs)} ended the same; requests "
        f"sent {sum(d.sent for d in done)} = entered {sum(d.entered for d in done)} + on the wire of a kill "
        f"{sum(d.on_the_wire for d in done)}; stored {sum(d.stored for d in done)}, sent again "
        f"{sum(d.again for d in done)}, paid twice {sum(d.twice for d in done)}"
    )
    return not any(run.wrong for run in runs)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the campaign; the exit code is 1 if a study ended otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="+", choices=(START, *STAGES), default=(START, *STAGES))
    args = parser.parse_args(argv)
    runs: list[Played] = []
    with tempfile.TemporaryDirectory() as name, suppress(KeyboardInterrupt):
        campaign = Campaign(Path(name), args.seed, args.stages)
        while (left := args.kills - sum(len(run.hits) for run in runs)) > 0:
            runs.append(campaign.play(len(runs), min(left, KILLS_EACH)))
            print(f"study {len(runs)}: {runs[-1]}", flush=True)
    raise SystemExit(0 if total(runs) else 1)


if __name__ == "__main__":
    main()
