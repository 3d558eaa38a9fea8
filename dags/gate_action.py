"""By hand, for a gate that waits: pause it, give it more time, let it pass in your name, or let it go on."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from roundtrip.gates.actions import MOST_MINUTES
from roundtrip.plan.model import Plan
from sections.forms import choice, form
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
    fields = {
        "gate": Param(
            type="string", enum=list(plan.gate_ids()), title="Gate", description="the one that waits"
        ),
        "action": choice("Action", ACTIONS, "pause", "what it is to do"),
        "minutes": Param(
            10,
            type="integer",
            minimum=1,
            maximum=MOST_MINUTES,
            title="Minutes",
            description="how long it holds, from now; of an extension, how much is added. A resume ignores it",
        ),
    }
    with form(
        f"gate_action_{plan.name}",
        description=f"{plan.platform} {plan.to_version}: pause, extend, override or resume a gate",
        doc=FORM,
        fields=fields,
    ) as dag:
        GateActionStep(
            task_id="act",
            plan=plan.name,
            sentence="Checks who asks, when and of which gate, and records it; the gate hears it with its next sample.",
        )
    return dag


globals().update(dags(gate_action))
