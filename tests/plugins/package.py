"""A tiny plug-in with one of each: the modules, and the package as pip leaves it behind."""

from __future__ import annotations

from pathlib import Path

MODULES = {
    "judge": """
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
    "engine": """
from tvmerge.engines.kinds import ENGINES, EngineKind


def _open(models, settings, chat):
    return ENGINES.load("transformers").open(models, settings, chat)


ENGINE = EngineKind(open=_open)
""",
    "sampler": """
from dataclasses import dataclass

from optuna.samplers import RandomSampler
from tvmerge.study.samplers import Sampler, key


@dataclass(frozen=True)
class Settings:
    skip: int = key(int, 0, 0)


SAMPLER = Sampler(make=lambda space, seed, settings: RandomSampler(seed + settings.skip), settings=Settings)
""",
    "grouping": """
from tvmerge.merging.groupings import Grouping


def _label(places, patterns):
    return {name: "matrices" if len(place.shape) > 1 else "vectors" for name, place in places.items()}


GROUPING = Grouping(label=_label)
""",
    "method": """
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
    "tasks": '''
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
    "figure": """
from tvmerge.report.drawing.svg import figure
from tvmerge.report.figures import Figure


def _draw(result):
    return figure("coverage", "Coverage", f"{len(result.trials)} trials.", 40, [])


FIGURE = Figure(draw=_draw, heading="Coverage of the trials")
""",
}
"""One of each; the names are those of the modules of the package."""

GROUPS = {
    "judge": "tvmerge.judges",
    "engine": "tvmerge.engines",
    "sampler": "tvmerge.samplers",
    "grouping": "tvmerge.groupings",
    "method": "tvmerge.methods",
    "tasks": "tvmerge.tasks",
    "figure": "tvmerge.figures",
}

FOLDERS = {
    "judge": "judging/providers",
    "engine": "engines/kinds",
    "sampler": "study/samplers",
    "grouping": "merging/groupings",
    "method": "merging/methods",
    "tasks": "tasks/kinds",
    "figure": "report/figures",
}
"""Where a file of each is found in tvmerge itself."""


def install(site: Path, version: str = "0.1") -> None:
    """Put the package `acme_tv` on a path, each of its things called `acme`."""
    package = site / "acme_tv"
    package.mkdir(parents=True, exist_ok=True)
    for stem, text in {"__init__": "", **MODULES}.items():
        (package / f"{stem}.py").write_text(text, encoding="utf-8")
    info = site / f"acme_tv-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme_tv\nVersion: {version}\n")
    points = (f"[{group}]\nacme = acme_tv.{stem}\n" for stem, group in GROUPS.items())
    (info / "entry_points.txt").write_text("".join(points))


def add_files(tvmerge: Path) -> list[Path]:
    """Add one file called `acme.py` for each thing to a copy of tvmerge."""
    added = [tvmerge / folder / "acme.py" for folder in FOLDERS.values()]
    for path, text in zip(added, (MODULES[stem] for stem in FOLDERS), strict=True):
        path.write_text(text, encoding="utf-8")
    return added
