"""Rows: what a table of the page is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roundtrip.narrative.story import MISSING


@dataclass(frozen=True)
class Row:
    """One row of a table: its cells, and a tone where it holds a verdict."""

    cells: tuple[str, ...]
    tone: str = ""


def text(data: Mapping[str, Any], name: str) -> str:
    """A field of an event as a cell; MISSING where it is not there or empty."""
    value = data.get(name)
    return MISSING if value is None or value == "" else str(value)
