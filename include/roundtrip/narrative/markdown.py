"""Text from outside as Markdown that cannot become anything else: no HTML, no links, no table cells of
its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>()#|!~&"})


def inline(text: object) -> str:
    """`text` on one line, with everything that Markdown or HTML would read as a sign taken literally."""
    return " ".join(str(text).split()).translate(_SPECIAL)


def code(text: object) -> str:
    """`text` as code on one line; backticks in it become quotes."""
    plain = " ".join(str(text).split()).replace("`", "'").replace("|", "¦")
    return f"`{plain}`" if plain else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bullets(items: Iterable[str], otherwise: str) -> str:
    """A list of items that are Markdown already, or a sentence when there are none."""
    return "\n".join(f"* {item}" for item in items) or otherwise
