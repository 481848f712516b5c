"""A picture: a figure, and the sentence that says the same to who cannot see it.

Pictures are made without matplotlib's global state (no pyplot, no settings of the reader's), so the
same input gives the same bytes. In a notebook a picture is an HTML image with its sentence as alternative
text; where only text is shown, it is the sentence.

*Why HTML and not image/png:* JupyterLab's own image output, and nbconvert's page in the style of
JupyterLab, have no place for an alternative text. HTML has one, everywhere.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from PIL import Image

from . import style

DOTS_PER_INCH = 144


@dataclass(frozen=True)
class Picture:
    """A figure with its alternative text. ``rows`` holds the numbers that were drawn, where there are some."""

    figure: Figure = field(repr=False)
    alt: str
    rows: tuple[Any, ...] = ()

    def png(self) -> bytes:
        """The picture as PNG, with 1.5 dots for each pixel of the page, and 256 colours to keep notebooks small."""
        dots = self._stored("rgba")
        width, height = (int(inches * DOTS_PER_INCH) for inches in self.figure.get_size_inches())
        full = Image.frombytes("RGBA", (width, height), dots).convert("RGB")
        stream = io.BytesIO()
        full.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(stream, "png")
        return stream.getvalue()

    def svg(self) -> str:
        """The picture as SVG, which names neither the day nor the version of matplotlib."""
        return self._stored("svg", {"Date": None, "Creator": None, "Title": self.alt}).decode()

    def _stored(self, kind: str, metadata: dict[str, str | None] | None = None) -> bytes:
        stream = io.BytesIO()
        with house_style():
            self.figure.savefig(stream, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
        return stream.getvalue()

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        source = f"data:image/png;base64,{base64.b64encode(self.png()).decode()}"
        width = round(self.figure.get_figwidth() * 96)
        html = f'<img alt="{escape(self.alt, quote=True)}" width="{width}" src="{source}">'
        return {"text/plain": self.alt, "text/html": html}


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib as it comes, whatever the reader has set; afterwards all is as before."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "vmbus_teach"
        yield


def width_of(text: str, size: float, weight: str = "normal") -> float:
    """How wide a line of text is, in inches."""
    points, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)
    return float(points) / 72


def wrapped(text: str, inches: float, size: float, lines: int = 2, weight: str = "normal") -> list[str]:
    """A text in lines that fit; what does not fit into so many lines is left out, with an ellipsis."""
    letters = max(2, int(inches * 72 / (0.45 * size)))
    while True:
        found = textwrap.wrap(text, letters)
        if len(found) > lines:
            found[lines - 1 :] = [found[lines - 1][: letters - 1].rstrip() + "…"]
        if letters == 2 or all(width_of(line, size, weight) <= inches for line in found):
            return found
        letters -= 1


def shortened(name: str, inches: float, size: float, weight: str = "normal") -> str:
    """A name that fits. Of one that is too long the middle is left out: names differ at their ends."""
    kept = len(name)
    short = name
    while kept > 2 and width_of(short, size, weight) > inches:
        kept -= 1
        short = f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
    return short


def write(axes: Any, x: float, y: float, text: str, **how: Any) -> Any:
    """A text at a point. A dollar sign is a dollar sign: no text of a scenario is a formula."""
    return axes.text(x, y, text, **{"fontsize": style.TEXT, "color": style.INK, "parse_math": False, **how})


def mark(marker: str, colour: str, word: str, *, hollow: bool = False, line: bool = False, size: float = 7) -> Line2D:
    """An entry of a legend: a marker (on a line) with its word."""
    face = "white" if hollow else colour
    return Line2D(
        [], [], marker=marker, markersize=size, markerfacecolor=face, markeredgecolor=colour, label=word,
        color=style.INK, linestyle="-" if line else "none", linewidth=2.2,
    )  # fmt: skip


def legend(figure: Figure, entries: Iterable[Any], columns: int, x: float = 0.01) -> Any:
    """A legend along the lower edge, without a frame."""
    return figure.legend(
        handles=list(entries), loc="lower left", bbox_to_anchor=(x, 0), ncols=columns, frameon=False,
        fontsize=style.TEXT, labelcolor=style.INK, handletextpad=0.5, columnspacing=1.8,
        labelspacing=0.45, borderaxespad=0.5,
    )  # fmt: skip


def in_a_row(things: Iterable[str]) -> str:
    """Several things in a sentence: a, b and c."""
    *most, last = list(things) or ["none"]
    return f"{', '.join(most)} and {last}" if most else last
