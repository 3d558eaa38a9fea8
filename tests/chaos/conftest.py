"""One stage for all that is tested on it: its Airflow and its platform are started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.kinds import KINDS
from tests.chaos.stage import Stage, stage
from tests.end_to_end.machine import KIND


@pytest.fixture(scope="package")
def here() -> Iterator[Stage]:
    kind = KINDS[KIND]
    if reason := kind.why_none():
        pytest.skip(reason)
    with stage(kind.home, kind.ground) as made:
        yield made
