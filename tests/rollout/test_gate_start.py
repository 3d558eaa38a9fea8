"""What a gate of a release records when it starts: also what was simulated of it before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from roundtrip.errors import GateError
from roundtrip.gates.evidence import Cause, Verdict
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment, mixed, retired, whole
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Gate, Plan
from roundtrip.release import Release
from roundtrip.rollout import stored_figures
from roundtrip.rollout.gating import judge
from tests.rollout.test_gating import placed
from tests.simulators.target import SimulatedTarget

INCLUDE = Path(__file__).parents[2] / "include"
GATE_ID = "production.wave_1"


def release(folder: Path, *, false_alarm: float = 0.01) -> Release:
    """Of the project's own plan and environments; nothing answers, so its gates end soon and INCONCLUSIVE."""
    plan = load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")
    hasty = {**plan.gates["production-wave"].model_dump(), "stale_seconds": 0.1, "false_alarm": false_alarm}
    gates = {**plan.gates, "production-wave": Gate.model_validate(hasty)}
    plan = plan.model_copy(update={"gates": gates})
    environments = {
        stage: load_environment(INCLUDE / "environments" / f"local_{stage}.yaml")
        for stage in ("staging", "production")
    }

    def no_secrets(connection: str) -> dict[str, str]:
        raise AssertionError(f"asked for {connection}")

    def target(environment):
        return SimulatedTarget(folder, environment, plan, "redis://127.0.0.1:9")

    there, ledger = target(environments["production"]), Ledger(f"sqlite:///{folder / 'ledger.db'}")
    there._write(first_wave(plan, there))
    placed(ledger, there.observe())
    return Release("r1", plan, environments, ledger, Home(folder), no_secrets, target)


def first_wave(plan: Plan, target: SimulatedTarget) -> Deployment:
    """Both versions, as the first wave has them."""
    versions = (plan.from_version, plan.to_version)
    bundles = dict.fromkeys(plan.services, "sha256:bundle")
    stable, new = (whole(one, plan, bundles, target.configurations(one)) for one in versions)
    return mixed(stable, new, plan, plan.waves()[0])


async def nobody(connection: str) -> str:
    raise AssertionError(f"asked for {connection}")


def started(one: Release) -> dict:
    decision = asyncio.run(
        judge(one, "production", "production-wave", GATE_ID, lambda _: None, authorize=nobody)
    )
    assert (decision.verdict, decision.cause) == (Verdict.INCONCLUSIVE, Cause.UNREADABLE)
    return dict(one.ledger.last("r1", "gate.started", GATE_ID).data)


def test_the_figures_that_hold_are_in_the_ledger_from_the_gate_s_start(tmp_path: Path) -> None:
    one = release(tmp_path)
    recorded = started(one)["calibration"]
    kept = stored_figures.stored(one.plan.name, "local_production")
    assert kept is not None
    assert recorded["state"] == stored_figures.CALIBRATED
    assert recorded["figures"] == kept.gates[0].model_dump(mode="json")
    assert recorded["simulation"] == kept.simulation.model_dump(mode="json")


def test_a_gate_of_other_settings_records_that_and_no_figures(tmp_path: Path) -> None:
    recorded = started(release(tmp_path, false_alarm=0.02))["calibration"]
    assert recorded["state"] == stored_figures.OTHER_SETTINGS
    assert "figures" not in recorded


def test_what_a_gate_needs_is_of_what_its_service_gets(tmp_path: Path) -> None:
    needs = started(release(tmp_path))["needs"]
    stated = {name: need["stated"] for name, need in needs.items()}
    assert stated == pytest.approx(
        {
            "api-errors": 64,
            "api-slow": 64,
            "ops-ui-errors": 16,
            "ops-ui-slow": 16,
            "order-errors": 28,
            "order-throughput": 28,
        }
    )


def test_without_the_other_version_a_throughput_is_refused_and_nothing_starts(tmp_path: Path) -> None:
    one = release(tmp_path)
    placed(one.ledger, retired(one.target("production").observe(), one.plan.from_version))
    with pytest.raises(GateError, match="no other version's throughput"):
        started(one)
    assert one.ledger.last("r1", "gate.started", GATE_ID) is None


def test_who_is_compared_with_whom_does_not_depend_on_what_is_down_as_the_gate_begins(
    tmp_path: Path,
) -> None:
    both_up = started(release(tmp_path / "up"))
    one = release(tmp_path / "down")
    there = one.target("production")
    there._write(retired(there.observe(), one.plan.from_version))
    with_stable_down = started(one)
    assert with_stable_down["baselines"] == both_up["baselines"] == {}
    assert with_stable_down["needs"] == both_up["needs"]
