"""Deployed: none. Each is refused for its own reason, which is in the ledger; without an attack the same way is open."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.catalogue import Attack, attacks
from tests.attacks.trying import require_open_way, require_refused
from tests.attacks.world import World, make

ALL = attacks()
AT_LEAST = 100


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("good"))


def test_the_good_release_goes_forward_and_back(good: World, tmp_path: Path) -> None:
    require_open_way(good, tmp_path)


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len(ALL) >= AT_LEAST
    assert len({(attack.kind, attack.name) for attack in ALL}) == len(ALL)


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: f"{attack.kind}: {attack.name}")
def test_it_is_refused_for_its_reason_and_nothing_is_deployed(good: World, attack: Attack) -> None:
    require_refused(good, attack)
