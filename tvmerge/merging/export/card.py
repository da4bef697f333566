"""The model card: the sources of a merged model, its scores and how to reproduce it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.printable import printable
from tvmerge._util.regular import read_utf8
from tvmerge._version import __version__
from tvmerge.merging.checkpoints.layout import CARD
from tvmerge.merging.export.reproduce import SETTINGS
from tvmerge.merging.remarks import LISTING
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.sources import Source
    from tvmerge.merging.merge import Merge

_LICENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
"""How hubs name licences."""

_LONGEST_LICENCE = 200
"""Characters of a licence's name at most."""

_LONGEST_FRONT = 1 << 20
"""Characters of a card in which its metadata must end."""

_MARKUP = re.compile(r"[\\`*\[\]<>|]")
"""Characters that would make more of a name in Markdown than its text."""

_LONG = 40
"""Number of weights above which their table is collapsed."""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Facts about a merged model that only the caller knows.

    Attributes:
        scores: Rows of a table, all with the same columns.
        notes: Further paragraphs, in Markdown.
        settings: Settings, besides those of the merge, that are needed to reproduce the model's files.
    """

    scores: Sequence[Mapping[str, str | float | int]] = ()
    notes: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def model_card(
    merge: Merge, recipe: Recipe, facts: CardFacts, *, command: str, no_mergekit: str | None
) -> str:
    """Return the card, a `README.md` with the metadata that model hubs read.

    Args:
        merge: The merge.
        recipe: Its weights.
        facts: What only the caller knows.
        command: The command that reproduces the model from the files next to the card.
        no_mergekit: Why there is no `mergekit.yml`; None if there is one.
    """
    parents = {source.name: source for source in merge.sources.values()}
    licences = {name: licence_of(source.folder) for name, source in parents.items()}
    mergekit = (
        "`mergekit.yml` makes mergekit write the same model."
        if no_mergekit is None
        else f"There is no `mergekit.yml`: {no_mergekit}."
    )
    rounding = (
        "accumulated in float32 and rounded once"
        if merge.request.arithmetic == "float32"
        else "every step rounded to bfloat16"
    )
    blocks = [
        _front_matter([s.repository for s in parents.values() if s.repository is not None], licences),
        f"# {_title(merge)}",
        f"Merged with [tvmerge](https://pypi.org/project/tvmerge/) {__version__}: "
        f"`target + weight * (tuned - base)`, {rounding}.",
        _table(
            [
                {"part": part, "model": source.identity, "licence": licences[source.name] or "not stated"}
                for part, source in merge.sources.items()
            ]
        ),
        *(["## Scores", _table(facts.scores)] if facts.scores else []),
        "## Recipe",
        *_settings(merge),
        _recipe_table(recipe),
        *(
            ["\n".join(f"- {remark.line(f'`{LISTING}`')}" for remark in remarks)]
            if (remarks := merge.remarks())
            else []
        ),
        "## Make it again",
        f"```sh\n{command}\n```",
        f"`{SETTINGS}` holds the settings. {mergekit}{_places(parents.values())}",
        *facts.notes,
    ]
    return "\n\n".join(blocks) + "\n"


def licence_of(folder: Path) -> str | None:
    """Return the licence in the metadata of a model's card; None if there is none."""
    try:
        text = read_utf8(folder / CARD)
    except (OSError, UnicodeDecodeError):
        return None
    found = {}
    for line in _front_lines(text):
        key, _, value = line.partition(":")
        if key in {"license", "license_name"}:
            found[key] = value.partition(" #")[0].strip().strip("'\"")
    name = found.get("license_name") if found.get("license") == "other" else found.get("license")
    licence = name or found.get("license") or ""
    return licence if 0 < len(licence) <= _LONGEST_LICENCE else None


def _front_lines(text: str) -> list[str]:
    """Return the lines of a card's metadata, which are between two lines of dashes."""
    first, *lines = text[:_LONGEST_FRONT].split("\n")
    ends = [number for number, line in enumerate(lines) if line.rstrip() == "---"]
    return lines[: ends[0]] if ends and first.rstrip() == "---" else []


def _places(parents: Iterable[Source]) -> str:
    """Return instructions for models that are not on the hub."""
    if all(source.repository is not None for source in parents):
        return ""
    return (
        " Names that start with `./` are local folders: run the command where they have these names, "
        "or write their places into the file first."
    )


def _front_matter(repositories: Sequence[str], licences: Mapping[str, str | None]) -> str:
    from huggingface_hub import ModelCardData

    known = set(licences.values())
    only = known.pop() if len(known) == 1 else None
    if only is not None and _LICENCE_ID.fullmatch(only):
        more: dict[str, Any] = {"license": only}
    else:
        # If the parents' licences differ, none of them covers the model; the card's table lists them.
        more = {"license": "other", "license_name": "those-of-all-parents"}
    if bases := list(dict.fromkeys(repositories)):
        more |= {"base_model": bases, "base_model_relation": "merge"}
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["merge", "tvmerge"],
        **more,
    )
    return f"---\n{data.to_yaml(line_break=chr(10))}\n---"


def _title(merge: Merge) -> str:
    targets = [s.name for part, s in merge.sources.items() if part.startswith("target")]
    tuned = [s.name for part, s in merge.sources.items() if part.endswith("tuned")]
    kind = "A mixture of" if len(targets) > 1 else "A merge of"
    return f"{kind} {' and '.join(map(_plain, dict.fromkeys([*targets, *tuned])))}"


def _settings(merge: Merge) -> list[str]:
    request = merge.request
    lines = []
    for vector in request.vectors:
        rules = vector.rules
        parts = [f"weights by {rules.mode}", f"method {vector.method}"]
        parts += [f"{rules.layer_granularity} layers a weight"] if rules.layer_granularity > 1 else []
        parts += [f"{rules.knots} knots"] if rules.knots is not None else []
        parts += (
            [f"density {vector.density}"] if isinstance(vector.density, float) and vector.density < 1 else []
        )
        lines.append(f"- {vector.name or 'task vector'}: {', '.join(parts)}")
    if merge.experts:
        mixture = request.mixture
        lines.append(
            f"- {len(merge.experts)} experts, {mixture.experts_per_token} a token, gates {mixture.gate}"
            f"{f' (seed {mixture.seed})' if mixture.gate in {'random', 'uniform'} else ''}"
        )
    return ["\n".join(lines)]


def _recipe_table(recipe: Recipe) -> str:
    table = _table([{"weight of": name, "value": weight} for name, weight in recipe.weights.items()])
    if len(recipe.weights) <= _LONG:
        return table
    return f"<details><summary>{len(recipe.weights)} weights</summary>\n\n{table}\n\n</details>"


def _table(rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return ""
    columns = list(rows[0])
    lines = [
        columns,
        ["---"] * len(columns),
        *([_cell(row.get(column)) for column in columns] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return json.dumps(value)
    return _plain(str("" if value is None else value))


def _plain(text: str) -> str:
    """Return a text that may come from others such that Markdown shows it as it is, in one line."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(printable(text).split()))
