"""Draws how much the weights that mattered most mattered, as bars."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tvmerge.report.drawing.scale import Scale
from tvmerge.report.drawing.shortening import fitted
from tvmerge.report.drawing.svg import NARROW, WIDTH, element, figure, group, label, line, text_width
from tvmerge.report.figures import Figure
from tvmerge.report.importance import LEAST, Importance, importance
from tvmerge.report.language import tr
from tvmerge.report.numbers import percent
from tvmerge.report.result import RunRecord

MOST = 20
"""Number of weights shown."""

_TOP, _ROW = 8.0, 20.0


@dataclass(frozen=True, slots=True)
class ImportanceFigure:
    """The data of the figure.

    Attributes:
        shares: The most important weights, the first first; empty if too few candidates have a score.
        others: Number of the weights that are not shown, and their share.
        description: The figure in words.
    """

    shares: Mapping[str, float]
    others: tuple[int, float]
    description: str


def important_weights(result: RunRecord) -> ImportanceFigure:
    """Return the weights that mattered most."""
    found = importance(result.trials)
    shown = dict(list(found.shares.items())[:MOST])
    if not shown:
        return ImportanceFigure({}, (0, 0.0), _too_few(found))
    first = next(iter(shown))
    words = tr("{name} mattered most, with {share} of the whole.", name=first, share=percent(shown[first]))
    rest = sum(found.shares.values()) - sum(shown.values())
    return ImportanceFigure(shown, (len(found.shares) - len(shown), max(rest, 0.0)), words)


def draw_importance(data: ImportanceFigure, width: float = WIDTH) -> str:
    """Return the figure as an SVG document; an empty text without importances."""
    if not data.shares:
        return ""
    names = [fitted(name, 0.4 * width) for name in data.shares]
    left = max(map(text_width, names)) + 10
    x = Scale(0.0, max(data.shares.values()) or 1.0, left, width - 48)
    bottom = _TOP + _ROW * len(names)
    parts = [
        group(_bars(data, names, x), "bars best"),
        group([line(left, _TOP, left, bottom, "axis")], "axes"),
    ]
    height = bottom + 8
    if data.others[0]:
        text = tr("{n} others: {share} together", n=data.others[0], share=percent(data.others[1]))
        parts.append(group([label(left, bottom + 18, text, "caption")], "others"))
        height += 20
    return figure("importance", tr("Importance of the weights"), data.description, height, parts, width=width)


def _bars(data: ImportanceFigure, names: list[str], x: Scale) -> Iterator[ET.Element]:
    for place, (shown, (name, share)) in enumerate(zip(names, data.shares.items(), strict=True)):
        y = _TOP + _ROW * place
        text = f"{100 * share:.1f}%"
        yield label(x.start - 8, y + _ROW / 2 + 4, shown, "label", "end")
        yield element(
            "rect",
            x=x.start,
            y=y + 3,
            width=max(x(share) - x.start, 0.5),
            height=_ROW - 6,
            class_="mark",
            title=f"{name}: {text}",
        )
        yield label(x(share) + 6, y + _ROW / 2 + 4, text, "tick")


def _too_few(found: Importance) -> str:
    return tr(
        "Importances need {least} drawn candidates with a score; this search has {n}.",
        least=LEAST,
        n=found.candidates,
    )


def _caption(result: RunRecord) -> str:
    found = importance(result.trials)
    if not found.shares:
        return _too_few(found) if len(result.contenders[0].weights) > 1 else ""
    return tr(
        "How differently a weight is set in the best tenth of {n} drawn candidates than in all of them "
        "(PED-ANOVA). A hint of where to look, no proof: with many weights, chance alone gives each a share.",
        n=found.candidates,
    )


FIGURE = Figure(
    draw=lambda result: draw_importance(important_weights(result)),
    narrow=lambda result: draw_importance(important_weights(result), NARROW),
    heading="Importance of the weights",
    caption=_caption,
    section="weights",
    place=2,
)
