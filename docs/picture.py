"""Draws docs/report.svg, the picture in the README, from a report: `python docs/picture.py runs/demo`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PICTURE = Path(__file__).parent / "report.svg"
FIGURES = ("contenders", "weights")
WIDTH, MARGIN, GAP = 760.0, 16.0, 24.0

_FIGURE = re.compile(r'<svg[^>]*viewBox="0 0 [\d.]+ ([\d.]+)"[^>]*>.*?</svg>', re.DOTALL)
_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_BACKGROUND = (
    "<style>.page { fill: #fff; } @media (prefers-color-scheme: dark) { .page { fill: #0d1117; } }</style>"
)


def picture(report: str) -> str:
    """The figures of a report page, one below the other, as one SVG document."""
    figures = {key: m for m in _FIGURE.finditer(report) for key in FIGURES if f'"{key}-title"' in m[0]}
    (style,) = _STYLE.findall(figures[FIGURES[0]][0])
    style = style.replace(" width: 100%; height: auto;", "")  # each figure keeps its own size
    top, parts = MARGIN, []
    for key in FIGURES:
        text, height = _STYLE.sub("", figures[key][0]), float(figures[key][1])
        place = f'<svg x="{MARGIN:g}" y="{top:g}" width="{WIDTH:g}" height="{height:g}" '
        parts.append(text.replace("<svg ", place, 1))
        top += height + GAP
    size = f'viewBox="0 0 {WIDTH + 2 * MARGIN:g} {top - GAP + MARGIN:g}"'
    page = '<rect class="page" width="100%" height="100%" rx="6"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([head, _BACKGROUND, style, page, *parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(
        picture((Path(sys.argv[1]) / "report.html").read_text(encoding="utf-8")), encoding="utf-8"
    )
