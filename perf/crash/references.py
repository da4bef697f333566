"""Studies that nobody breaks off, which all others must end like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perf.crash.ended import Ended, read_ended
from perf.crash.study import SETTINGS, Study, Timeline
from tests.cli.killing import Setting, write_benchmark
from tests.cli.slowness import SlowJudge


@dataclass(frozen=True)
class Whole:
    """A study that nobody breaks off: how it ended, and its stages."""

    ended: Ended
    timeline: Timeline


class References:
    """The studies of a campaign, and how they end.

    Args:
        folder: Where they are.
        seed: Of the delays of their judge, which change nothing.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._bench = write_benchmark(folder / "bench", SETTINGS[0])
        self._whole: dict[Setting, Whole] = {}

    def study(self, name: str, setting: Setting, judge: SlowJudge) -> Study:
        """Return a study in a new folder."""
        study = Study(self._folder / name, self._bench, setting, judge)
        study.folder.mkdir()
        return study

    def whole(self, setting: Setting) -> Whole:
        """Return such a study that nobody breaks off."""
        if setting not in self._whole:
            with SlowJudge(seed=self._seed) as judge:
                study = self.study(f"whole {setting}", setting, judge)
                if study.finish() != 0:
                    raise RuntimeError(study.log)
                self._whole[setting] = Whole(read_ended(study), study.timeline)
        return self._whole[setting]
