"""Some seeds of the campaign, and every draw that ever showed something: no invariant is broken.

The whole campaign is `python -m tests.chaos --seeds 0-199`.
"""

from __future__ import annotations

import pytest

from tests.chaos.campaign import Drawn, regressions, run
from tests.chaos.faults import CannotBeHadError
from tests.chaos.kinds import KINDS
from tests.chaos.stage import Stage
from tests.end_to_end.machine import KIND

pytestmark = pytest.mark.end_to_end

SEEDS = range(1000, 1018)
"""Others than the campaign's own, so that together they are more; with the draws that are kept, twenty."""


OF = KINDS[KIND]
DRAWN = {drawn.seed: drawn for drawn in [*(Drawn.of(seed, OF.faults) for seed in SEEDS), *regressions(OF)]}


@pytest.mark.parametrize("drawn", DRAWN.values(), ids=str)
def test_whatever_happens_the_release_ends_as_it_says(here: Stage, drawn: Drawn) -> None:
    try:
        result = run(here, drawn)
    except CannotBeHadError as error:
        pytest.skip(str(error))
    print(result)
    assert result.violations == ()
