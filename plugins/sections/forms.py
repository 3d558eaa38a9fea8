"""What forms that a person fills in share: the DAG around its one step, and the fields that each of them has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG, Param

from roundtrip.gates.actions import LONGEST_REASON, SHORTEST_REASON


def form(dag_id: str, *, description: str, doc: str, fields: Mapping[str, Param]) -> DAG:
    """A DAG whose runs are filled-in forms about a release; the reason is asked last."""
    params: dict[str, Any] = {
        "release": Param(
            type="string",
            minLength=1,
            title="Release",
            description="its id, or the id of its run in Airflow; the log of the task that waits names it",
        ),
        **fields,
        "reason": Param(
            type="string",
            minLength=SHORTEST_REASON,
            maxLength=LONGEST_REASON,
            title="Reason",
            description="why; it stands beside your name in the ledger and the dossier, so no secrets",
        ),
    }
    return DAG(
        dag_id,
        description=description,
        doc_md=doc,
        schedule=None,
        # One at a time: what is asked is judged by what was asked before.
        max_active_runs=1,
        # It runs when a person asks and never by itself; at three in the morning nobody looks for a switch first.
        is_paused_upon_creation=False,
        tags=["roundtrip", "gate"],
        params=params,
    )


def choice(title: str, choices: Mapping[str, str], first: str, description: str) -> Param:
    """One of some words, each with what it does; `first` is chosen when nothing is."""
    return Param(
        first,
        type="string",
        enum=list(choices),
        values_display=dict(choices),
        title=title,
        description=description,
    )
