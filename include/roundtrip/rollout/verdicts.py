"""What a release may go on with: verdicts, as the ledger has them.

Rules:
1. Only a PASS in the ledger lets a release go on; a task's state in Airflow never does.
2. No verdict is no pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.errors import PromotionError
from roundtrip.release import Release


def require_pass(release: Release, gate_ids: Sequence[str]) -> None:
    """Returns when every gate of `gate_ids` has PASS in the ledger. Raises PromotionError naming the first without."""
    if not gate_ids:
        raise PromotionError("expected at least one gate, got none", where=f"release {release.id}")
    for gate_id in gate_ids:
        event = release.ledger.last(release.id, "gate.verdict", gate_id)
        verdict = event.data["verdict"] if event else "no verdict"
        if verdict != "PASS":
            raise PromotionError(
                f"gate {gate_id}: expected PASS in the ledger, got {verdict}"
                + (f" ({event.data['reason']})" if event else ""),
                where=f"release {release.id}",
                remedy="a task marked success by hand is no verdict; the release is taken back",
            )
