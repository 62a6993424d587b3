"""The measurements as a chart: an SVG that a browser and a code host show, without a library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
LABEL_WIDTH: Final = 110
VALUE_WIDTH: Final = 190  # right of the longest bar, for what is written there
BAR_HEIGHT: Final = 18
GAP: Final = 5
TITLE_HEIGHT: Final = 30
MARGIN: Final = 12
# Told apart without colour sight too: the names stand beside the bars.
COLOURS: Final[Mapping[str, str]] = {
    "biebroam": "#0b6e4f",
    "interpreted": "#7fb69f",
    "radsecproxy": "#c05621",
    "freeradius": "#5a67a6",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One peer in one row."""

    peer: str
    cpu_us: float  # of one answered request
    note: str  # what stands after the figure


def draw_chart(title: str, rows: Mapping[str, Sequence[Bar]]) -> str:
    """Return an SVG with a group of bars for each row; each row has a scale of its own, from zero."""
    y = MARGIN + TITLE_HEIGHT
    body: list[str] = []
    for name, bars in rows.items():
        body.append(_text(MARGIN, y + 14, name, weight="bold"))
        y += TITLE_HEIGHT - GAP
        largest = max((bar.cpu_us for bar in bars), default=0.0) or 1.0
        for bar in bars:
            width = (WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH) * bar.cpu_us / largest
            left = MARGIN + LABEL_WIDTH
            body.append(_text(left - 6, y + 13, bar.peer, anchor="end"))
            colour = COLOURS.get(bar.peer, "#888888")
            body.append(f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{colour}"/>')
            body.append(_text(left + width + 6, y + 13, f"{bar.cpu_us:.1f} us {bar.note}".rstrip()))
            y += BAR_HEIGHT + GAP
        y += GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + MARGIN}" role="img" '
        f'viewBox="0 0 {WIDTH} {y + MARGIN}" font-family="sans-serif" font-size="12" fill="#222222">'
    )
    background = f'<rect width="{WIDTH}" height="{y + MARGIN}" fill="#ffffff"/>'
    heading = _text(MARGIN, MARGIN + 14, title, weight="bold")
    return "\n".join((head, f"<title>{escape(title)}</title>", background, heading, *body, "</svg>", ""))


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
