"""A plot without a library: bars of "times lockstep" on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Group = tuple[str, Sequence[tuple[str, float, bool]]]
"""A title and its bars: a name, how many times as long as lockstep it takes, and whether it is a floor."""

_WIDTH, _LEFT, _BAR, _GAP, _TITLE = 860, 190, 16, 14, 24
_LEAST, _MOST = 0.1, 100.0
_COLOURS = {"lockstep": "#1f6f4a", "floor": "#b9b9b9", "peer": "#4a78b5"}


def as_svg(groups: Sequence[Group]) -> str:
    """The plot of all groups, one below the other."""
    parts, y = [], 30
    for title, bars in groups:
        parts.append(f'<text x="8" y="{y + 14}" font-weight="bold">{escape(title)}</text>')
        y += _TITLE
        for name, times, floor in bars:
            parts.append(_bar(y, name, times, "floor" if floor else "lockstep" if name == "lockstep" else "peer"))
            y += _BAR + 4
        y += _GAP
    grid = "".join(
        f'<line x1="{_x(at):.1f}" y1="24" x2="{_x(at):.1f}" y2="{y}" stroke="#ddd"/>'
        f'<text x="{_x(at):.1f}" y="18" text-anchor="middle">{at:g} x</text>'
        for at in (0.1, 1, 10, 100)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{grid}{"".join(parts)}</svg>\n'
    )


def _bar(y: int, name: str, times: float, kind: str) -> str:
    end = _x(times)
    return (
        f'<text x="{_LEFT - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{_LEFT}" y="{y}" width="{max(2.0, end - _LEFT):.1f}" height="{_BAR}" fill="{_COLOURS[kind]}"/>'
        f'<text x="{max(end, _LEFT + 2) + 5:.1f}" y="{y + 12}">{times:.2f}</text>'
    )


def _x(times: float) -> float:
    share = math.log(min(_MOST, max(_LEAST, times)) / _LEAST) / math.log(_MOST / _LEAST)
    return _LEFT + share * (_WIDTH - _LEFT - 60)
