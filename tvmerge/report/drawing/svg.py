"""A small SVG writer: elements in, accessible and self-sufficient text out."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

STYLE = (Path(__file__).parent / "figure.css").read_text(encoding="utf-8")
"""The style sheet every figure carries: colours that follow the reader's light or dark scheme."""

WIDTH = 760.0
"""Width of every figure, in user units; it scales to the space it is given."""

# Characters that XML 1.0 has no form for, not even as a reference.
_ILLEGAL = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(
    tag: str, *children: ET.Element, text: str = "", title: str = "", **attributes: str | float
) -> ET.Element:
    """An element; `class_` stands for `class`, other underscores in attribute names for dashes.

    Args:
        tag: Its name.
        children: What it holds, after the title.
        text: Its text.
        title: What a pointer that rests on it is shown.
        attributes: Numbers are written with up to two digits.
    """
    node = ET.Element(tag, {_name(key): _value(value) for key, value in attributes.items()})
    node.text = legal(text) or None
    if title:
        node.append(element("title", text=title))
    node.extend(children)
    return node


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> ET.Element:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def label(x: float, y: float, text: str, class_: str = "label", anchor: str = "start") -> ET.Element:
    """A text whose baseline starts, ends or is centred at a point."""
    return element("text", text=text, x=x, y=y, class_=class_, text_anchor=anchor)


def group(children: Iterable[ET.Element], class_: str) -> ET.Element:
    """Elements under one class."""
    return element("g", *children, class_=class_)


def figure(key: str, title: str, description: str, height: float, children: Iterable[ET.Element]) -> str:
    """A whole SVG document.

    Args:
        key: Prefix of the ids inside; differs between the figures of a page.
        title: What it is, for people who cannot see it.
        description: What it shows, for them.
        height: In user units.
        children: What is drawn, the back to front.
    """
    root = element(
        "svg",
        element("title", text=title, id=f"{key}-title"),
        element("desc", text=description, id=f"{key}-desc"),
        element("style", text=STYLE),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_value(WIDTH)} {_value(height)}",
        class_="tvmerge-figure",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
    )
    return ET.tostring(root, encoding="unicode")


def legal(text: str) -> str:
    """`text` with a replacement character for each one XML cannot hold."""
    return _ILLEGAL.sub("\ufffd", text)


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return legal(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
