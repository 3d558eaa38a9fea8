"""The backlog of a platform without a hosted forge: a JSON file of items, numbered in the order they came.

Rules:
1. An item's key is unique: adding it again changes nothing and gives the number it has.
2. The file is written beside and renamed, under a lock, so concurrent tasks lose nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from roundtrip import durable
from roundtrip.errors import ForgeError

_LOCK_SECONDS = 30.0


@dataclass(frozen=True)
class BacklogItem:
    """One thing left to do (plan 3.5)."""

    key: str
    """names it in the backlog, for instance `<release>/<finding>`"""
    title: str
    body: str
    labels: tuple[str, ...] = ()


def add(path: Path, items: Sequence[BacklogItem]) -> tuple[int, ...]:
    """The numbers of `items` in the backlog at `path`, those added now and those already there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_SECONDS):
        entries = read(path)
        numbers = {entry["key"]: int(entry["number"]) for entry in entries}
        for item in items:
            if item.key not in numbers:
                numbers[item.key] = len(entries) + 1
                entries.append({"number": numbers[item.key], **asdict(item)})
        durable.write(path, json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    return tuple(numbers[item.key] for item in items)


def read(path: Path) -> list[dict[str, Any]]:
    """All entries, oldest first; none when there is no backlog yet. Raises ForgeError when it is damaged."""
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ForgeError(
            f"is not JSON: {error}", where=str(path), remedy="restore it from a backup"
        ) from error
    if not isinstance(entries, list):
        raise ForgeError("expected a list of items", where=str(path), remedy="restore it from a backup")
    return entries
