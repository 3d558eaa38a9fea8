"""Which release a person means: by its id, or by the id of its run in Airflow."""

from __future__ import annotations

from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.model import Plan
from roundtrip.release import release_id


def named_release(ledger: Ledger, plan: Plan, meant: str) -> str | None:
    """The id of the release of this plan that is meant; None where none has begun."""
    meant = meant.strip()
    ids = (meant, *(release_id(f"{kind}_{plan.name}", meant) for kind in ("release", "staging_rehearsal")))
    for one in ids:
        started = ledger.last(one, "release.started") if one else None
        if started is not None and started.data["plan"] == plan.name:
            return one
    return None
