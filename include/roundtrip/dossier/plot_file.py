"""A plot of the page as a file of its own: where it is shown, the page's style is not."""

from __future__ import annotations

import re
from importlib.resources import files

from markupsafe import Markup


def standalone(plot: Markup) -> str:
    """The plot with the page's rules for plots inside, on white: where it is shown may be dark, and its ink is made for paper."""
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{_style()}</style>", str(plot), count=1) + "\n"


def _style() -> str:
    """The page's rules for plots, colours filled in."""
    page = (files("roundtrip.dossier") / "templates" / "dossier.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): (#\w+);", page))
    rules = " ".join(line for line in page.splitlines() if line.startswith("svg "))
    rules = rules.replace(".background { fill: none; }", ".background { fill: #ffffff; }")
    return re.sub(r"var\(--(\w+)\)", lambda name: colours[name[1]], rules)
