"""The figures of a plan's gates as they are kept beside the plan, and whether they still hold.

Rules:
1. One file for each plan and environment, below `include/plans/calibrations`; plans are the YAML files beside that folder.
2. Figures hold for the settings and the traffic that they were simulated with, by digest. After any change of these they
   are said to be of other settings, and are not shown.
3. A gate records what it found here when it starts, figures included, so the dossier needs no file. Figures advise: one
   that cannot be read stops no gate.
4. Storing the same figures again changes nothing, not even their date.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from roundtrip import durable
from roundtrip.errors import HostError, PlanError
from roundtrip.plan.model import Part
from roundtrip.rollout.decidable import gates_of
from roundtrip.rollout.expected_traffic import expected_flow
from roundtrip.rollout.figures import Calibration, NotSimulated, Simulation
from roundtrip.rollout.gate_settings import Planned, settings

FOLDER = Path(__file__).resolve().parents[2] / "plans" / "calibrations"

CALIBRATED, NOT_CALIBRATED, OTHER_SETTINGS = (
    "calibrated",
    "not calibrated",
    "calibrated for other settings",
)

NO_PART = {"guard_rails", "stale_seconds", "longest_pause_seconds"}
"""settings of a gate that no simulated request can meet: what else is watched, and what people may ask"""


class Stored(Part):
    """One file."""

    plan: str
    environment: str
    command: str
    calibrated_at: datetime
    simulation: Simulation
    gates: tuple[Calibration, ...]
    not_simulated: tuple[NotSimulated, ...]


def file_of(plan: str, environment: str, folder: Path | None = None) -> Path:
    """Where the figures of a plan in an environment are kept; `folder`: elsewhere than in FOLDER."""
    return (folder or FOLDER) / f"{plan}.{environment}.json"


def store(figures: Stored, folder: Path | None = None) -> Path:
    """Have the file hold these figures, and return it (rule 4). Raises HostError."""
    path = file_of(figures.plan, figures.environment, folder)
    try:
        there = stored(figures.plan, figures.environment, folder)
    except PlanError:
        there = None  # what cannot be read is what is to be replaced
    at = there.calibrated_at if there else figures.calibrated_at
    try:
        if there != figures.model_copy(update={"calibrated_at": at}):
            durable.write_json(path, figures.model_dump(mode="json"))
        path.chmod(0o644)  # as the plan beside it: the orchestrator may be another user
    except OSError as error:
        raise HostError(
            f"cannot be written: {error.strerror}", where=str(path), remedy="mend the folder's permissions"
        ) from error
    return path


def stored(plan: str, environment: str, folder: Path | None = None) -> Stored | None:
    """The figures that are kept; None: none. Raises PlanError when the file holds no figures."""
    path = file_of(plan, environment, folder)
    try:
        return Stored.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise PlanError(
            f"is no file of figures: {type(error).__name__}",
            where=str(path),
            remedy=f"./roundtrip calibrate {plan} --store",
        ) from error


def known(planned: Planned, stage: str, gate_id: str, folder: Path | None = None) -> dict[str, Any]:
    """What is known of a gate that starts, as plain JSON: state, why when it is not calibrated, and its figures."""
    environment, step = planned.environment(stage).name, step_of(gate_id)
    try:
        kept = stored(planned.plan.name, environment, folder)
    except PlanError as error:
        return {"state": NOT_CALIBRATED, "why": str(error.what)}
    if kept is None:
        return {"state": NOT_CALIBRATED, "why": f"no figures are stored for {environment}"}
    found = next((one for one in kept.gates if (one.stage, one.step) == (stage, step)), None)
    if found is None:
        left_out = (one.why for one in kept.not_simulated if (one.stage, one.step) == (stage, step))
        return {"state": NOT_CALIBRATED, "why": next(left_out, f"no figures are stored for {gate_id}")}
    about = {"calibrated_at": kept.calibrated_at.isoformat(), "command": kept.command}
    if found.valid_for != valid_for(planned, stage, step):
        return {"state": OTHER_SETTINGS, **about}
    simulation = kept.simulation.model_dump(mode="json")
    return {"state": CALIBRATED, **about, "simulation": simulation, "figures": found.model_dump(mode="json")}


def standing(planned: Planned, stage: str, folder: Path | None = None) -> str:
    """The state of the figures that are kept for a stage: the least good one, and which gates have it if not all do."""
    ids = [f"{one}.{step.replace(' ', '_')}" for one, _, step, _ in gates_of(planned.plan) if one == stage]
    states = {gate_id: known(planned, stage, gate_id, folder)["state"] for gate_id in ids}
    worst = next(one for one in (OTHER_SETTINGS, NOT_CALIBRATED, CALIBRATED) if one in states.values())
    named = [gate_id for gate_id, state in states.items() if state == worst]
    return worst if len(named) == len(ids) else f"{worst}: {', '.join(named)}"


def step_of(gate_id: str) -> str:
    """The step of a plan that a gate's id in the ledger names: `production.wave_2` is wave 2."""
    return gate_id.partition(".")[2].replace("_", " ")


def valid_for(planned: Planned, stage: str, step: str) -> str | None:
    """Digest of all that the figures of a step depend on; None when the environment states no traffic.

    That is also what the steps before it in its stage are: they count what a canary that runs alone is compared with.
    """
    parts: list[Mapping[str, Any]] = []
    for its_stage, name, its_step, wave in gates_of(planned.plan):
        if its_stage != stage:
            continue
        gate = settings(planned, stage, name)
        flows = {m.name: expected_flow(planned, stage, m.service, wave) for m in gate.metrics}
        traffic = {metric: vars(flow) for metric, flow in flows.items() if flow is not None}
        if len(traffic) < len(flows):
            return None
        # A setting that is None says nothing, so a plan that does not use a new one keeps its figures.
        settled = gate.model_dump(mode="json", exclude_none=True, exclude=NO_PART)
        parts.append({"step": its_step, "gate": settled, "traffic": traffic})
        if its_step == step:
            is_alone = any(not flow["stable"] for flow in traffic.values())
            text = json.dumps(parts if is_alone else parts[-1:], sort_keys=True, separators=(",", ":"))
            return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    raise RuntimeError(f"{planned.plan.name} has no step '{step}' in {stage}")
