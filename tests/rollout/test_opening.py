"""What a release is refused for when it is opened, before anything of it is in the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundtrip.errors import PlanError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import ComposeTargetSettings
from tests.rollout.test_decidable import LOCAL, opened


def test_environments_that_take_images_from_two_registries_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (ComposeTargetSettings(kind="compose", registry=f"127.0.0.1:{port}") for port in (1, 2))
    monkeypatch.setitem(LOCAL, "staging", LOCAL["staging"].model_copy(update={"target": one}))
    with pytest.raises(PlanError, match="expected one engine, registry and build"):
        opened(tmp_path, target=other)
    assert Ledger(f"sqlite:///{tmp_path / 'ledger.db'}").events() == []
    opened(tmp_path, target=one)
