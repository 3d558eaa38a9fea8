"""Tries one attack on a copy of the good release."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.attacks.catalogue import Attack
from tests.attacks.world import NEW, STABLE, World, copied, go_back, go_forward, make, verify
from tests.containers import registry

Act = Callable[[Any], None]


@dataclass(frozen=True)
class Tried:
    """What became of it."""

    refused: list[str]
    """the reason of each step that had to refuse it; empty where one did not"""
    deployed: int
    """how often the target was told to converge after it"""
    recorded: list[str]
    """the reasons of refusals in the ledger"""


def require_refused(good: World, attack: Attack) -> None:
    """Each step that has to refuse it does, for its reason, which is in the ledger, and nothing is deployed."""
    found = tried(good, attack)
    assert found.deployed == 0
    assert all(found.refused), "a step that had to refuse it did not"
    assert all(re.search(attack.found_by, reason) for reason in found.refused), found.refused
    if attack.way != "build":  # what the target finds ends the step, and is in its log
        assert set(found.refused) <= set(found.recorded), "each refusal is in the ledger"


def require_open_way(good: World, folder: Path) -> None:
    """Without an attack the good release goes forward and back."""
    forward = copied(good, folder / "forward")
    assert go_forward(forward, lambda _: None, late=False) == ["", ""]
    assert forward.targets["production"].placed.versions() == (STABLE, NEW)
    back = copied(good, folder / "back")
    assert go_back(back, lambda _: None) == [""]
    assert back.targets["production"].placed.versions() == (STABLE,)


def tried(good: World, attack: Attack) -> Tried:
    """Try it, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        if attack.way == "build":
            world = make(Path(folder), attack.act)
            refused = _after_verify(world, lambda _: None)
        elif good.images is not None:
            return _tried_with_images(good, attack, Path(folder))
        else:
            world = copied(good, Path(folder))
            refused = WAYS[attack.way](world, attack.act)
        return _tried(world, refused)


def _tried_with_images(good: World, attack: Attack, folder: Path) -> Tried:
    assert good.images is not None
    shutil.copytree(good.images.registry.storage, folder / "storage")
    with registry.registry(folder) as again:
        world = copied(good, folder, again)
        return _tried(world, WAYS[attack.way](world, attack.act))


def _tried(world: World, refused: list[str]) -> Tried:
    events = world.release.ledger.events(world.release.id, kind="verify.refused")
    deployed = len(world.targets["production"].told)
    return Tried(refused, deployed, [str(event.data["reason"]) for event in events])


def _after_verify(world: World, act: Act) -> list[str]:
    verified, wave = go_forward(world, act, late=True)
    assert not verified, f"refused before the attack: {verified}"
    return [wave]


WAYS: Mapping[str, Callable[[World, Act], list[str]]] = {
    "forward": partial(go_forward, late=False),
    "verify": verify,
    "late": _after_verify,
    "back": go_back,
}
