"""A smoke test that fails on the way back is tried again; forward it stops the release."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from roundtrip.errors import NotYetRestoredError, SmokeError
from roundtrip.release import Release
from roundtrip.rollback import proving
from tests.rollback.conftest import Reached

AWAY = SmokeError(
    "status: expected 202, got 503", where="POST /api/orders", remedy="look at the service's log"
)


@pytest.mark.parametrize("step", [proving.restore_ui, proving.smoke_restored])
def test_what_the_restored_version_does_not_do_yet_may_be_asked_again(
    reached: Reached, monkeypatch: pytest.MonkeyPatch, step: Callable[[Release], None]
) -> None:
    asked: list[tuple[str, str, Sequence[str]]] = []

    def fails(_: Release, stage: str, version: str, names: Sequence[str]) -> None:
        asked.append((stage, version, names))
        raise AWAY

    monkeypatch.setattr(proving, "run_smoke", fails)
    with pytest.raises(NotYetRestoredError) as raised:
        step(reached.release)
    assert raised.value.retriable
    assert not AWAY.retriable
    assert (raised.value.what, raised.value.where, raised.value.remedy) == (
        AWAY.what,
        AWAY.where,
        AWAY.remedy,
    )
    [(stage, version, _)] = asked
    assert (stage, version) == ("production", "1.0.0")
