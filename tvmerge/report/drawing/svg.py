"""A small SVG writer for accessible, self-contained documents."""

from __future__ import annotations

import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

STYLE = (Path(__file__).parent / "figure.css").read_text(encoding="utf-8")
"""The style sheet included in every figure, with colours for light and dark schemes."""

WIDTH = 760.0
"""Width of a figure in user units; figures scale to the available space."""

BOLD = 13.5
"""A size of font at which a text is about as wide as a bold one of a figure's size."""

NARROW = 360.0
"""Width of a figure for narrow screens, on which it is shown at its size."""

# Characters that XML 1.0 cannot represent, not even as a reference.
_ILLEGAL = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(
    tag: str, *children: ET.Element, text: str = "", title: str = "", **attributes: str | float
) -> ET.Element:
    """Create an element; `class_` becomes `class`, other underscores in attribute names become dashes.

    Args:
        tag: Its name.
        children: Its children, after the title.
        text: Its text.
        title: Its tooltip.
        attributes: Its attributes; numbers are written with up to two digits.
    """
    node = ET.Element(tag, {_name(key): _value(value) for key, value in attributes.items()})
    node.text = legal(text) or None
    if title:
        node.append(element("title", text=title))
    node.extend(children)
    return node


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> ET.Element:
    """Create a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def label(x: float, y: float, text: str, class_: str = "label", anchor: str = "start") -> ET.Element:
    """Create a text whose baseline starts, ends or is centred at a point."""
    return element("text", text=text, x=x, y=y, class_=class_, text_anchor=anchor)


def group(children: Iterable[ET.Element], class_: str) -> ET.Element:
    """Group elements under one class."""
    return element("g", *children, class_=class_)


def figure(
    key: str,
    title: str,
    description: str,
    height: float,
    children: Iterable[ET.Element],
    *,
    width: float = WIDTH,
) -> str:
    """Create an SVG document.

    Args:
        key: Prefix of the ids inside; unique among the figures of a page; a narrow one gets its own.
        title: Its title, for screen readers.
        description: Its content in words, for screen readers.
        height: Height in user units.
        children: The elements, from back to front.
        width: Width in user units.
    """
    if width != WIDTH:
        key = f"{key}-narrow"
    root = element(
        "svg",
        element("title", text=title, id=f"{key}-title"),
        element("desc", text=description, id=f"{key}-desc"),
        element("style", text=STYLE),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        class_="tvmerge-figure",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
    )
    return ET.tostring(root, encoding="unicode")


def text_width(text: str, size: float = 12.0) -> float:
    """Return about how wide a text is in user units: East Asian letters are as wide as the font's size."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return size * (wide + 0.63 * (len(text) - wide))


def legal(text: str) -> str:
    """Return `text` with each character that XML cannot represent replaced."""
    return _ILLEGAL.sub("\ufffd", text)


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return legal(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
