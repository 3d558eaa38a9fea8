"""What GitHub shows of a release: a deployment for each environment, a commit status for each gate.

Rules:
1. Both are views of the ledger's events: made from them whenever it is asked for, so that what was missed once is there the
   next time.
2. A deployment is ours by its payload, which names the release. Its statuses are added in the order in which things
   happened, each once.
3. A commit status is set when it is another than the newest of its context.
4. Nothing that a client sent or was answered is in it, and no text of an error: it may be public.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from roundtrip.forge.github.answers import DeploymentThere, StateThere, StatusThere
from roundtrip.forge.github.client import GitHubClient
from roundtrip.ledger.ledger import Event

VERDICTS: Mapping[str, str] = {"PASS": "success", "FAIL": "failure"}
"""A gate's verdict as the state of a commit; every other verdict is an error."""
SENTENCES: Mapping[str, str] = {
    "in_progress": "being deployed by release {}",
    "success": "deployed by release {}",
    "failure": "release {} is taken back",
    "error": "release {} could not be taken back: somebody has to look",
    "inactive": "release {} was taken back, the version before it serves",
}
_PAYLOAD = "roundtrip"
_DESCRIPTION_CHARACTERS = 140


@dataclass(frozen=True)
class Deployment:
    """A deployment, with the states that it has gone through."""

    environment: str
    is_production: bool
    states: tuple[str, ...]


@dataclass(frozen=True)
class GateStatus:
    """What a gate says of the commit."""

    context: str
    state: str
    description: str


def deployments(events: Sequence[Event], environments: Mapping[str, str]) -> list[Deployment]:
    """What became of each environment that was deployed to. `environments`: names by stage."""
    placed = {event.key for event in events if event.kind == "deployed"}
    return [
        Deployment(name, stage == "production", _states(events, stage, name))
        for stage, name in environments.items()
        if name in placed
    ]


def gate_statuses(events: Sequence[Event], release: str) -> list[GateStatus]:
    """The newest word of each gate that has begun."""
    said = {e.key: e for e in events if e.kind in ("gate.started", "gate.verdict") and e.key}
    return [_gate_status(str(gate), event, release) for gate, event in said.items()]


def show(
    client: GitHubClient,
    release: str,
    commit: str,
    wanted: Sequence[Deployment],
    gates: Sequence[GateStatus],
) -> None:
    """Bring GitHub in line. Raises ForgeError."""
    for deployment in wanted:
        _show_deployment(client, release, commit, deployment)
    for gate in gates:
        _show_gate(client, commit, gate)


def _states(events: Sequence[Event], stage: str, name: str) -> tuple[str, ...]:
    """In the order in which they happened: of what went well, then of the way back."""
    kinds = {event.kind for event in events if event.kind != "rollback.verified"}
    well = "promoted" if stage == "production" else "sign.tagged"
    states = ["in_progress", *(["success"] if well in kinds else [])]
    outcome = next((e.data.get("outcome") for e in reversed(events) if e.kind == "release.outcome"), None)
    if "rollback.begun" in kinds:
        states.append("failure")
    if any(e.kind == "rollback.verified" and e.key == name for e in events):
        states.append("inactive")
    elif outcome == "BROKEN":
        states.append("error")
    return tuple(states)


def _gate_status(gate: str, event: Event, release: str) -> GateStatus:
    verdict = event.data.get("verdict") if event.kind == "gate.verdict" else None
    state = "pending" if verdict is None else VERDICTS.get(str(verdict), "error")
    description = f"{verdict or 'judging'}, in release {release}"
    return GateStatus(f"roundtrip/{gate}", state, description[:_DESCRIPTION_CHARACTERS])


def _show_deployment(client: GitHubClient, release: str, commit: str, wanted: Deployment) -> None:
    repos = client.rest.repos

    def look() -> DeploymentThere | None:
        listed = client.all(
            DeploymentThere, repos.list_deployments, sha=commit, environment=wanted.environment
        )
        return next((one for one in listed if _is_of(one, release)), None)

    def make() -> DeploymentThere:
        data = {
            "ref": commit,
            "environment": wanted.environment,
            "production_environment": wanted.is_production,
            "payload": {_PAYLOAD: release},
            "description": f"release {release}"[:_DESCRIPTION_CHARACTERS],
            # Roundtrip has judged it already: GitHub neither merges nor waits.
            "auto_merge": False,
            "required_contexts": [],
        }
        return client.ask(DeploymentThere, repos.create_deployment, data=data)

    deployment = client.made(look, make)
    for number in range(len(wanted.states)):
        _add_state(client, release, deployment.id, wanted.states[: number + 1])


def _add_state(client: GitHubClient, release: str, deployment: int, states: Sequence[str]) -> None:
    """Add the last of `states` unless the deployment has gone through all of them."""
    repos, state = client.rest.repos, states[-1]

    def look() -> StateThere | None:
        listed = client.all(StateThere, repos.list_deployment_statuses, deployment)
        in_order = sorted(listed, key=lambda one: one.id)
        left = iter(one.state for one in in_order)
        return in_order[-1] if all(state in left for state in states) else None

    def make() -> StateThere:
        description = SENTENCES[state].format(release)[:_DESCRIPTION_CHARACTERS]
        data = {"state": state, "description": description}
        return client.ask(StateThere, repos.create_deployment_status, deployment, data=data)

    client.made(look, make)


def _show_gate(client: GitHubClient, commit: str, gate: GateStatus) -> None:
    repos = client.rest.repos

    def look() -> StatusThere | None:
        listed = client.all(StatusThere, repos.list_commit_statuses_for_ref, commit)
        ours = [one for one in listed if one.context == gate.context]
        newest = max(ours, key=lambda one: one.id, default=None)
        return newest if _says(newest, gate) else None

    def make() -> StatusThere:
        data = {"state": gate.state, "context": gate.context, "description": gate.description}
        return client.ask(StatusThere, repos.create_commit_status, commit, data=data)

    client.made(look, make)


def _says(there: StatusThere | None, gate: GateStatus) -> bool:
    return there is not None and (there.state, there.description) == (gate.state, gate.description)


def _is_of(deployment: DeploymentThere, release: str) -> bool:
    """GitHub describes a payload as an object or as its text."""
    payload = deployment.payload
    if isinstance(payload, str):
        return payload == json.dumps({_PAYLOAD: release}, separators=(",", ":"))
    return isinstance(payload, dict) and payload.get(_PAYLOAD) == release
