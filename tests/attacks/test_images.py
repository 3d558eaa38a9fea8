"""The same for images, in a real registry and with the real cosign: deployed is none, without an attack the way is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.catalogue import Attack
from tests.attacks.images import attacks_on_images, good_images, why_none
from tests.attacks.trying import require_open_way, require_refused
from tests.attacks.world import World

ALL = attacks_on_images()


@pytest.fixture(scope="module")
def good() -> Iterator[World]:
    if reason := why_none():
        pytest.skip(reason)
    with good_images() as world:
        yield world


def test_the_good_release_goes_forward_and_back(good: World, tmp_path: Path) -> None:
    require_open_way(good, tmp_path)


def test_each_has_a_name_of_its_own() -> None:
    assert len({(attack.kind, attack.name) for attack in ALL}) == len(ALL)


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: f"{attack.kind}: {attack.name}")
def test_it_is_refused_for_its_reason_and_nothing_is_deployed(good: World, attack: Attack) -> None:
    require_refused(good, attack)
