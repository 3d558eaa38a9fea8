"""The product as it is here, with a DAG, a plan and environments of the campaign's own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from roundtrip.commands.prepare import ROOT
from roundtrip.embedded.airflow import USER
from tests.chaos.ground import PRODUCTION, Ground

PLAN = "top_tier_trading_1_1_0"
DOOR_PLAN = f"{PLAN}_one_way"
"""the same plan with a one-way door"""
DOOR = "orders of 1.1.0 carry a field that 1.0.0 cannot read"
HERE = Path(__file__).parent
STAGES = {"staging": "chaos_staging", "production": PRODUCTION}
"""how the environments are called"""
WAVES: Mapping[str, Any] = {
    "traffic_percent": [50, 100],
    "worker_step_percent": 50,
    "lease_seconds": 12,
}
"""Two short waves."""
GATES: Mapping[str, Any] = {
    "minimum_seconds": 4,
    "deadline_seconds": 60,
    "minimum_requests": 10,
}
TOLERANCE = 0.3
"""of every metric: what is looked at here is how a release ends, not how fine its gates are"""


def check_out(checkout: Path, ground: Ground) -> None:
    """Have it there."""
    for name in ("include/roundtrip", "include/platform", "plugins"):
        _synchronised(ROOT / name, checkout / name)
    shutil.rmtree(checkout / "dags", ignore_errors=True)
    shutil.copytree(HERE / "dags", checkout / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dags" / "rollback.py", checkout / "dags")  # what a BROKEN release says to run
    shutil.copy(ROOT / "dags" / "one_way_door.py", checkout / "dags")
    plan = _yaml(ROOT / "include" / "plans" / f"{PLAN}.yaml")
    plan["production"] |= WAVES
    # No staging comes before these releases, and the second of the plans has not built them.
    plan["sign"] = {"demands": {"new": ["provenance"]}}
    for gate in plan["gates"].values():
        for metric in gate["metrics"]:
            if metric["kind"] not in ("throughput", "gauge"):
                metric["absolute_tolerance"] = TOLERANCE
        gate["metrics"] = [metric for metric in gate["metrics"] if metric["kind"] != "gauge"]
    rollback = {**plan["rollback"], "one_way_door": DOOR}
    behind_a_door = {"name": DOOR_PLAN, "rollback": rollback, "sign": {"demands": {"new": []}}}
    for one in (plan, {**plan, **behind_a_door}):
        _write(checkout / "include" / "plans" / f"{one['name']}.yaml", one)
    _write_environments(checkout / "include" / "environments", ground, list(plan["gates"]))


def _write_environments(folder: Path, ground: Ground, gates: list[str]) -> None:
    for stage_, name in STAGES.items():
        environment = _yaml(ROOT / "include" / "environments" / f"{ground.prefix}_{stage_}.yaml")
        environment |= {"name": name, **({"soak_seconds": 5} if stage_ == "production" else {})}
        environment["target"] |= ground.target
        environment["one_way_door_by"] = [USER]
        environment["traffic"] = {"requests_per_second": 40, "at_rest_requests_per_second": 5}
        gate = {"warm_up_seconds": ground.warm_up_seconds, **GATES}
        environment["gates"] = {gate_name: dict(gate) for gate_name in gates}
        _write(folder / f"{name}.yaml", environment)


def _synchronised(source: Path, to: Path) -> None:
    """Copied anew where something differs, so that what has loaded it need not be started again for nothing."""
    differs = subprocess.run(
        ["diff", "--recursive", "--brief", "--exclude=__pycache__", str(source), str(to)],
        capture_output=True,
        check=False,
    )
    if differs.returncode:
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))


def _yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False), encoding="utf-8")
