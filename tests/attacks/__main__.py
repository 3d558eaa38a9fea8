"""Tries every attack and prints what became of it, a row for each kind."""

from __future__ import annotations

import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.attacks.catalogue import Attack, attacks
from tests.attacks.images import attacks_on_images, good_images, why_none
from tests.attacks.trying import Tried, tried
from tests.attacks.world import make

SHOWN = 3
LONGEST = 110
"""characters of a reason"""
WHAT = re.compile(r"^\w+: (.*?)(?: at (?:/|127\.).*)?(?: -> .*)?$", re.S)
DIGITS = re.compile(r"[0-9a-f]{12,}")


def main() -> None:
    """The table, and the count of those that were deployed."""
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for attack, found in _all_tried():
        was_deployed = found.deployed > 0 or not all(found.refused)
        rows[attack.kind][0] += 1
        rows[attack.kind][1] += was_deployed
        reasons[attack.kind][_short(found.refused[-1])] += 1
    print("| bad artefact | tried | deployed | refused because |")
    print("|---|---|---|---|")
    for kind, (number, deployed) in rows.items():
        often = "; ".join(reason for reason, _ in reasons[kind].most_common(SHOWN))
        print(f"| {kind} | {number} | {deployed} | {often} |")
    print(f"\n{sum(n for n, _ in rows.values())} tried, {sum(d for _, d in rows.values())} deployed")
    if reason := why_none():
        print(f"images: not tried, {reason}")


def _all_tried() -> Iterator[tuple[Attack, Tried]]:
    with tempfile.TemporaryDirectory() as folder:
        good = make(Path(folder))
        yield from ((attack, tried(good, attack)) for attack in attacks())
    if why_none() is None:
        with good_images() as good:
            yield from ((attack, tried(good, attack)) for attack in attacks_on_images())


def _short(reason: str) -> str:
    found = WHAT.match(reason.replace("\n", " "))
    what = DIGITS.sub("…", found[1] if found else reason).replace("|", "\\|")
    return what if len(what) <= LONGEST else f"{what[:LONGEST].rsplit(' ', 1)[0]} …"


if __name__ == "__main__":
    main()
