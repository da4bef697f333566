"""A tiny plug-in with one of each thing: as a file of ours, and as a package that pip leaves behind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Thing:
    """A new thing: the folder of tvmerge in which its file is found, its entry points' group, its module."""

    folder: str
    group: str
    text: str


THINGS = {
    "provider": Thing(
        "judging/providers",
        "tvmerge.judges",
        """
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.providers import Provider


class Fives:
    def __init__(self, spec, api_key):
        self.model = spec.model

    def request(self, system, user, form, *, sample=0):
        return ChatRequest("acme", "", {"model": self.model, "user": user}, form, sample)

    async def send(self, request):
        return ChatReply("Rating: [[5]]", "stop", Usage(1, 1))

    async def close(self):
        pass


PROVIDER = Provider(chat=Fives)
""",
    ),
    "engine": Thing(
        "engines/kinds",
        "tvmerge.engines",
        """
from dataclasses import replace

from tvmerge.engines.kinds import ENGINES, EngineKind


class Polite:
    def __init__(self, engine, thanks):
        self.engine, self.thanks = engine, thanks
        self.capabilities, self.apply, self.close = engine.capabilities, engine.apply, engine.close

    async def generate(self, questions, sampling):
        async for answers in self.engine.generate(questions, sampling):
            yield tuple(replace(a, turns=tuple(t + self.thanks for t in a.turns)) for a in answers)


def _open(models, settings, chat):
    engine = ENGINES.load("transformers").open(models, settings, chat)
    return Polite(engine, settings.options.get("thanks", "。"))


ENGINE = EngineKind(open=_open)
""",
    ),
    "sampler": Thing(
        "study/samplers",
        "tvmerge.samplers",
        """
from dataclasses import dataclass

from optuna.samplers import RandomSampler
from tvmerge.study.samplers import Sampler, key


@dataclass(frozen=True)
class Settings:
    weight: float = key(float, 0.5, 0.0, 1.0)


class Same(RandomSampler):
    def __init__(self, seed, weight):
        super().__init__(seed)
        self.weight = weight

    def sample_independent(self, study, trial, name, distribution):
        return self.weight


SAMPLER = Sampler(make=lambda space, seed, settings: Same(seed, settings.weight), settings=Settings)
""",
    ),
    "grouping": Thing(
        "merging/groupings",
        "tvmerge.groupings",
        """
from tvmerge.merging.groupings import Grouping


def _label(places, patterns):
    return {name: "matrices" if len(place.shape) > 1 else "vectors" for name, place in places.items()}


GROUPING = Grouping(label=_label)
""",
    ),
    "method": Thing(
        "merging/methods",
        "tvmerge.methods",
        """
from tvmerge.merging.methods import Method


class Head:
    def __init__(self, reader, rows):
        self.reader, self.rows = reader, rows

    def read(self, rows, out, spare):
        self.reader.read(rows, out, spare)
        out[max(0, self.rows - rows.start):] = 0


def _sparsify(reader, density, *, shape, chunk, seed):
    return Head(reader, int(density * shape[0]))


METHOD = Method(sparsify=_sparsify)
""",
    ),
    "tasks": Thing(
        "tasks/kinds",
        "tvmerge.tasks",
        '''
from tvmerge.records import Question, Rating
from tvmerge.scoring.objective import Part
from tvmerge.tasks.kinds import TaskKind


class Lengths:
    """Rates an answer by its length."""

    def __init__(self, tasks, others):
        self.tasks, self.others, self.name = tasks, others, others.name if others else "lengths"
        self.fingerprint = {**(others.fingerprint if others else {}), "lengths": 1}

    async def judge(self, question, answer):
        if question not in self.tasks.questions:
            return await self.others.judge(question, answer)
        score = min(1.0, len(answer.turns[0]) / 10)
        return [Rating(question.question_id, 1, score, "lengths", "length", "", "", 0)]

    async def close(self):
        if self.others:
            await self.others.close()


class Tasks:
    names = ("lengths",)

    def __init__(self, count):
        self.questions = tuple(
            Question(question_id=f"lengths/{n}", category="lengths", turns=(f"{n}たす1は？",))
            for n in range(count)
        )
        ids = frozenset(question.question_id for question in self.questions)
        self.parts = (Part("lengths", ids, floor=0.0, ceiling=1.0),)

    def in_chat(self, chat, note):
        return self

    def pool(self, pool, chat, context):
        return pool

    def judge(self, others):
        return Lengths(self, others)


TASK_KIND = TaskKind(open=lambda options, note: Tasks(**options))
''',
    ),
    "figure": Thing(
        "report/figures",
        "tvmerge.figures",
        """
from tvmerge.report.drawing.svg import figure
from tvmerge.report.figures import Figure


def _draw(result):
    return figure("coverage", "Coverage", f"{len(result.trials)} trials.", 40, [])


FIGURE = Figure(draw=_draw, heading="Coverage of the trials")
""",
    ),
}
"""One of each, all of them called `acme`."""


def install(site: Path, things: Collection[str] = tuple(THINGS), version: str = "0.1") -> None:
    """Put the package `acme_tv` on a path, with an entry point called `acme` for each of `things`."""
    package = site / "acme_tv"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    for name in things:
        (package / f"{name}.py").write_text(THINGS[name].text, encoding="utf-8")
    info = site / f"acme_tv-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme_tv\nVersion: {version}\n")
    points = (f"[{THINGS[name].group}]\nacme = acme_tv.{name}\n" for name in things)
    (info / "entry_points.txt").write_text("".join(points))


def add_file(copy: Path, thing: str) -> Path:
    """Add the one file of a thing to a copy of the package `tvmerge`."""
    path = copy / THINGS[thing].folder / "acme.py"
    assert not path.exists()
    path.write_text(THINGS[thing].text, encoding="utf-8")
    return path
