"""By hand, for a gate that waits: pause it, give it more time, let it pass in your name, or let it go on."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from roundtrip.gates.actions import LONGEST_REASON, MOST_MINUTES, SHORTEST_REASON
from roundtrip.plan.model import Plan
from sections.plans import dags
from steps.gate_action import GateActionStep

ACTIONS = {
    "pause": "pause: nothing passes, the deadline stands still; harm is still pulled at once",
    "extend": "extend: so much later at the latest",
    "override": "override: pass it in my name, although the evidence has not decided",
    "resume": "resume: end the pause",
}
FORM = """Choose the gate and say why. Who you are is taken from your login.

An **override** needs your name in `gate_overrides_by` of the environment. It never reaches a guard rail, a FAIL, or a
version that is not counted. The rules are in `docs/gates.md`, the way through them in `docs/runbook.md`."""


def gate_action(plan: Plan) -> DAG:
    """The DAG by which a person acts on a gate of a plan's release."""
    with DAG(
        f"gate_action_{plan.name}",
        description=f"{plan.platform} {plan.to_version}: pause, extend, override or resume a gate",
        doc_md=FORM,
        schedule=None,
        # One at a time: the bounds of pauses and extensions are sums over what is recorded.
        max_active_runs=1,
        # It runs when a person asks and never by itself; at three in the morning nobody looks for a switch first.
        is_paused_upon_creation=False,
        tags=["roundtrip", "gate"],
        params={
            "release": Param(
                type="string",
                minLength=1,
                title="Release",
                description="its id, or the id of its run in Airflow; the gate's log begins with it",
            ),
            "gate": Param(
                type="string", enum=list(plan.gate_ids()), title="Gate", description="the one that waits"
            ),
            "action": Param(
                "pause",
                type="string",
                enum=list(ACTIONS),
                values_display=ACTIONS,
                title="Action",
                description="what it is to do",
            ),
            "minutes": Param(
                10,
                type="integer",
                minimum=1,
                maximum=MOST_MINUTES,
                title="Minutes",
                description="how long it holds, from now; of an extension, how much is added. A resume ignores it",
            ),
            "reason": Param(
                type="string",
                minLength=SHORTEST_REASON,
                maxLength=LONGEST_REASON,
                title="Reason",
                description="why; it stands beside your name in the ledger and the dossier, so no secrets",
            ),
        },
    ) as dag:
        GateActionStep(
            task_id="act",
            plan=plan.name,
            sentence="Checks who asks, when and of which gate, and records it; the gate hears it with its next sample.",
        )
    return dag


globals().update(dags(gate_action))
