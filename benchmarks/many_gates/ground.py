"""The ground of the benchmark: a checkout and a state folder of its own, an environment in it, and its Airflow.

Real: `EmbeddedAirflow` and its PostgreSQL, `plugins/`, the plan, the ledger, `LocalTarget` with a supervisord of its own.
Stand-ins: what supervisord runs (`platform`). Nothing was released there: the manifests of the instances, the list of
what to scrape, the ports and the ledger's event are written here as a converge would have left them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.many_gates.platform import VERSIONS
from roundtrip import durable
from roundtrip.embedded.airflow import EmbeddedAirflow
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.home import Home
from roundtrip.supervision.daemon import Daemon, Program
from roundtrip.targets.local.instances import Instance
from roundtrip.targets.ports import Ports, free_ports

ROOT = Path(__file__).resolve().parents[2]
PLAN = "top_tier_trading_1_1_0.yaml"
PLACED = (("api", 1), ("ops-ui", 1), ("workers", 3))
"""instances of each version of the services that the gate watches; the plan has three workers"""
CAPACITY = 2000

ENVIRONMENT = """\
name: many_gates_{stage}
stage: {stage}
target: {{kind: local}}
secrets_connection: none
signing_connection: none
gates:
  production-wave: {{warm_up_seconds: 3, minimum_seconds: {seconds}, deadline_seconds: {deadline}}}
"""


@dataclass(frozen=True)
class Settings:
    """What the gates are."""

    gates: int
    interval_seconds: float
    seconds: float
    """minimum_seconds of every gate"""

    @property
    def stale_seconds(self) -> float:
        """The plan's ten intervals."""
        return 10 * self.interval_seconds

    @property
    def per_run(self) -> int:
        """Gates in a run of the DAG."""
        return next(size for size in (20, 10, 1) if self.gates % size == 0)


class Airflow(EmbeddedAirflow):
    """The embedded Airflow, with room for the gates and the probe: the default capacity is 1,000 triggers."""

    def __init__(self, home: Home, root: Path, settings: Settings) -> None:
        super().__init__(home, root)
        self._gates = settings
        self._state = home.root

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "AIRFLOW__TRIGGERER__CAPACITY": str(CAPACITY),
            "MANY_GATES_PER_RUN": str(self._gates.per_run),
            "MANY_GATES_PROBE": str(self._state / "probe.jsonl"),
        }


def lay_checkout(root: Path, settings: Settings) -> None:
    """A checkout with this one's code, and the benchmark's DAGs, plan and environments."""
    here = Path(__file__).parent
    shutil.copytree(ROOT / "plugins", root / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(here / "probe.py", root / "plugins" / "probe.py")
    for folder in ("dags", "include/plans", "include/environments"):
        (root / folder).mkdir(parents=True)
    shutil.copy(here / "dag.py", root / "dags" / "many_gates.py")
    (root / "include" / "roundtrip").symlink_to(ROOT / "include" / "roundtrip")
    plan = (ROOT / "include" / "plans" / PLAN).read_text(encoding="utf-8")
    gate = "  production-wave:\n"
    assert plan.count(gate) == 1
    begins = plan.index(gate)
    stale = "    stale_seconds: 10\n"
    ends = plan.index(stale, begins) + len(stale)
    times = (
        f"    interval_seconds: {settings.interval_seconds}\n    stale_seconds: {settings.stale_seconds}\n"
    )
    plan = plan[:begins] + plan[begins:ends].replace(stale, times) + plan[ends:]
    (root / "include" / "plans" / PLAN).write_text(plan, encoding="utf-8")
    for stage in ("staging", "production"):
        text = ENVIRONMENT.format(
            stage=stage, seconds=settings.seconds, deadline=10 * settings.seconds + 3600
        )
        (root / "include" / "environments" / f"many_gates_{stage}.yaml").write_text(text, encoding="utf-8")


def start_platform(home: Home) -> Daemon:
    """The environment's supervisord, with the stand-ins of the front door and of the services under it."""
    folder = home.environment("many_gates_production")
    (folder / "instances").mkdir(parents=True)
    names = [
        (service, version, number)
        for service, count in PLACED
        for version in VERSIONS
        for number in range(1, count + 1)
    ]
    ports = free_ports(5 + len(names))
    own = Ports(*ports[:5])
    instances = [
        Instance(*name, bundle="none", configuration="none", port=port, health="/health", metrics="/metrics")
        for name, port in zip(names, ports[5:], strict=True)
    ]
    durable.write_json(folder / "ports.json", asdict(own))
    durable.write_json(
        folder / "scrape.json",
        [
            {
                "targets": [f"127.0.0.1:{one.port}"],
                "labels": {"service": one.service, "version": one.version, "instance": one.name},
            }
            for one in instances
        ],
    )
    daemon = Daemon(folder / "supervisor")
    daemon.start()
    daemon.put(_program("traefik", folder, "door", "-", own.proxy))
    for one in instances:
        (folder / "instances" / f"{one.name}.json").write_text(json.dumps(asdict(one)), encoding="utf-8")
        daemon.put(_program(one.name, folder, one.service, one.version, one.port))
    return daemon


def record_placed(ledger: Ledger, release: str) -> None:
    """Both versions, with half of the traffic each."""
    placements = [
        Placement(service, version, count, "none", "none", 50)
        for service, count in PLACED
        for version in VERSIONS
    ]
    data = {"environment": "many_gates_production", "token": 1, "holder": "production.wave"}
    ledger.append(release, "converge.finished", {**data, "observed": Deployment(tuple(placements)).to_json()})


def _program(name: str, folder: Path, kind: str, version: str, port: int) -> Program:
    module = "benchmarks.many_gates.platform"
    command = [sys.executable, "-m", module, kind, version, str(port), str(folder / "instances")]
    return Program(name, command, folder, {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "include")])})
