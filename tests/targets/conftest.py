"""The places that the contract of a target is told against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from roundtrip.plan.home import Home
from roundtrip.targets.local.target import LocalTarget
from tests.targets.place import Place, local


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An environment of the local target that is up."""
    folder = tmp_path_factory.mktemp("place")
    made = Place(Home(folder / "home"), folder / "packing", local)
    target = made.target()
    assert isinstance(target, LocalTarget)
    target.infrastructure.up()
    try:
        yield made
    finally:
        target.infrastructure.down()


@pytest.fixture
def place(standing: Place) -> Place:
    """It runs 1.0.0, whatever a test before did."""
    standing.converge(standing.whole("1.0.0"))
    return standing
