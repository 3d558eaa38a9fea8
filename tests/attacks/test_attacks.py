"""Deployed: none. Each is refused for its own reason, which is in the ledger; without an attack the same way is open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.attacks.catalogue import Attack, attacks
from tests.attacks.trying import tried
from tests.attacks.world import World, copied, go_back, go_forward, make

ALL = attacks()
AT_LEAST = 100


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("good"))


def test_the_good_release_goes_forward_and_back(good: World, tmp_path: Path) -> None:
    forward = copied(good, tmp_path / "forward")
    assert go_forward(forward, lambda _: None, late=False) == ["", ""]
    assert forward.targets["production"].placed.versions() == ("1.0.0", "1.1.0")
    back = copied(good, tmp_path / "back")
    assert go_back(back, lambda _: None) == [""]
    assert back.targets["production"].placed.versions() == ("1.0.0",)


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len(ALL) >= AT_LEAST
    assert len({(attack.kind, attack.name) for attack in ALL}) == len(ALL)


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: f"{attack.kind}: {attack.name}")
def test_it_is_refused_for_its_reason_and_nothing_is_deployed(good: World, attack: Attack) -> None:
    found = tried(good, attack)
    assert found.deployed == 0
    assert all(found.refused), "a step that had to refuse it did not"
    assert all(re.search(attack.found_by, reason) for reason in found.refused), found.refused
    if attack.way != "build":  # what the target finds ends the step, and is in its log
        assert set(found.refused) <= set(found.recorded), "each refusal is in the ledger"
