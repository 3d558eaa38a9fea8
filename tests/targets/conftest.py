"""The places that the contract of a target is told against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.targets.place import Place, standing_place


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An environment of the local target that is up."""
    with standing_place(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture
def place(standing: Place) -> Place:
    """It runs 1.0.0, whatever a test before did."""
    standing.converge(standing.whole("1.0.0"))
    return standing
