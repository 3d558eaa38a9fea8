"""Plots as inline SVG: no script, no style of their own (the page has it), the same bytes for the same data.

Rules:
1. Evidence is drawn on a logarithmic scale from 1/10 up, with the line that it has to reach.
2. At most MOST_POINTS are drawn; the first, the last and the extremes between stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pygal
from markupsafe import Markup

from roundtrip.dossier.evidence import Point
from roundtrip.gates.figure import figure

WIDTH, HEIGHT = 460, 190
MOST_POINTS = 240
FLOOR = 0.1
"""evidence below it is drawn there: it would not change anybody's mind"""

Line = tuple[str, Sequence[tuple[float, float]]]
"""class of the line in the page's style, points"""


def evidence_plot(points: Sequence[Point], title: str) -> Markup:
    """Evidence against and for, over time, with both limits."""
    end = points[-1].seconds
    last = points[-1].evidence
    against = [(p.seconds, _log(p.evidence.evidence_against)) for p in points]
    favour = [(p.seconds, _log(p.evidence.evidence_for)) for p in points]
    limits = [_log(last.against_needed), _log(last.for_needed)]
    lines: list[Line] = [
        ("against limit", [(0, limits[0]), (end, limits[0])]),
        ("for limit", [(0, limits[1]), (end, limits[1])]),
        ("for", thinned(favour)),
        ("against", thinned(against)),
    ]
    top = math.ceil(max(*limits, *(y for _, y in against), *(y for _, y in favour)))
    step = max(1, math.ceil((top + 1) / 5))
    ticks = range(-1, top + step, step)  # the last one is not below the line
    return _plot(title, lines, list(ticks), _power, end)


def errors_plot(points: Sequence[Point], title: str) -> Markup:
    """Bad requests of both arms, cumulative, over time."""
    end = points[-1].seconds
    canary = [(p.seconds, float(p.canary.bad)) for p in points]
    stable = [(p.seconds, float(p.stable.bad)) for p in points]
    lines: list[Line] = [("stable", thinned(stable)), ("canary", thinned(canary))]
    most = max(1.0, *(y for _, y in canary), *(y for _, y in stable))
    step = max(1.0, nice_step(most))
    ticks = [step * n for n in range(math.ceil(most / step) + 1)]
    return _plot(title, lines, ticks, lambda y: figure(y, 6), end)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """`points`, or of equal stretches of them the lowest and the highest one each."""
    if len(points) <= MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / (MOST_POINTS // 2))
    kept: list[tuple[float, float]] = [points[0]]
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return list(dict.fromkeys([*kept, points[-1]]))


def nice_step(most: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides `most` into at most five."""
    rough = max(most, 1e-9) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= rough * 0.999)


def _plot(
    title: str, lines: Sequence[Line], y_ticks: Sequence[float], shown: Callable[[float], str], end: float
) -> Markup:
    step = nice_step(max(end, 1.0))
    chart = pygal.XY(
        css=(), js=(), width=WIDTH, height=HEIGHT, show_dots=False, show_legend=False, no_prefix=True,
        disable_xml_declaration=True, margin=6, margin_left=14, margin_bottom=4, margin_right=22,
        range=(min(y_ticks), max(y_ticks)), xrange=(0, max(end, 1.0)),
        value_formatter=shown, x_value_formatter=lambda x: f"{figure(x, 6)} s",
    )  # fmt: skip
    chart.y_labels = list(y_ticks)
    chart.x_labels = [step * n for n in range(math.floor(max(end, 1.0) / step) + 1)]
    for _, points in lines:
        chart.add("", points)
    chart.add_xml_filter(lambda root: _cleaned(root, title, [name for name, _ in lines]))
    return Markup(chart.render(is_unicode=True))  # noqa: S704 - made of numbers and of text that the library escapes


def _cleaned(root: Any, title: str, classes: Sequence[str]) -> Any:
    """Without scripts, styles and tooltips; with the plot's title and the lines named for the page's
    style."""
    for parent in list(root.iter()):
        for child in list(parent):
            name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else "script"
            if name in ("script", "style", "desc", "defs", "title") or "tooltip" in child.get("class", ""):
                parent.remove(child)
        found = parent.get("class", "")
        for number, name in enumerate(classes):
            if f"serie-{number}" in found.split():
                parent.set("class", f"series {name}")
    del root.attrib["id"]
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", title)
    return root


def _log(evidence: float) -> float:
    return math.log10(max(evidence, FLOOR))


def _power(exponent: float) -> str:
    return figure(10.0**exponent)
