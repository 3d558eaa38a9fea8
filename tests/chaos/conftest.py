"""One stage for all that is tested on it: its Airflow and its platform are started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.__main__ import HOME
from tests.chaos.stage import Stage, stage


@pytest.fixture(scope="package")
def here() -> Iterator[Stage]:
    with stage(HOME) as made:
        yield made
