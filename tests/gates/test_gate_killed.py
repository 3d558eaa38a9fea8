"""A gate whose process is killed with SIGKILL goes on in another process, and no request is counted twice or lost."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from arms import gate, metric
from prometheus_client import CollectorRegistry, Counter, start_http_server

from roundtrip.gates.evidence import Verdict
from roundtrip.gates.gate import GateSetup, run_gate, samples
from roundtrip.gates.reading import Versions
from roundtrip.gates.sources import sources
from roundtrip.ledger.ledger import Ledger

pytestmark = pytest.mark.integration

INCLUDE = Path(__file__).parents[2] / "include"
PLAN = gate(metric(source="services"), interval_seconds=0.05, deadline_seconds=60, minimum_requests=1000)

WATCHER = """
import asyncio, sys
from pathlib import Path
from roundtrip.gates.gate import GateSetup, run_gate
from roundtrip.gates.reading import Versions
from roundtrip.gates.sources import sources
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.model import Gate

async def pull(reason):
    raise RuntimeError("nothing to pull")

async def sleep(seconds):
    print("sample", flush=True)
    await asyncio.sleep(seconds)

plan = Gate.model_validate_json(sys.argv[3])
setup = GateSetup("r1", "wave-1", "local_production", canary="1.1.0", stable="1.0.0", gate=plan)
found = sources(plan, Versions("1.1.0", "1.0.0"), front_door="", services=Path(sys.argv[2]))
asyncio.run(run_gate(setup, Ledger(sys.argv[1]), found, pull=pull, sleep=sleep))
"""


class Arms:
    """Both versions, each on a real page whose counters the test moves."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.targets = folder / "targets.json"
        self.requests: dict[str, Counter] = {}
        listed = []
        for version in ("1.0.0", "1.1.0"):
            registry = CollectorRegistry()
            self.requests[version] = Counter("http_requests_total", "t", ["code"], registry=registry)
            self.requests[version].labels("500").inc(33)
            server, _ = start_http_server(0, addr="127.0.0.1", registry=registry)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            labels = {"service": "api", "version": version}
            listed.append({"targets": [f"127.0.0.1:{server.server_port}"], "labels": labels})
        self.targets.write_text(json.dumps(listed))

    def serve(self, requests: int) -> None:
        for counter in self.requests.values():
            counter.labels("200").inc(requests)


@pytest.fixture
def arms(tmp_path: Path) -> Iterator[Arms]:
    with ExitStack() as stack:
        yield Arms(tmp_path, stack)


def watcher(url: str, arms: Arms) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WATCHER, url, str(arms.targets), PLAN.model_dump_json()],
        env={**os.environ, "PYTHONPATH": str(INCLUDE)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_watcher_that_is_killed_is_followed_by_one_that_goes_on(arms, tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    for _ in range(3):
        process = watcher(url, arms)
        for _ in range(2):
            assert process.stdout.readline() == "sample\n"
            arms.serve(100)
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()
        arms.serve(100)

    ledger = Ledger(url)
    taken = len(samples(ledger, "r1", "wave-1"))
    assert taken >= 6
    arms.serve(100)

    async def pull(reason: str) -> None:
        raise AssertionError(reason)

    setup = GateSetup("r1", "wave-1", "local_production", canary="1.1.0", stable="1.0.0", gate=PLAN)
    found = sources(PLAN, Versions("1.1.0", "1.0.0"), front_door="", services=arms.targets)
    decision = asyncio.run(run_gate(setup, ledger, found, pull=pull))
    assert decision.verdict is Verdict.PASS
    assert (decision.metrics["errors"].canary.total, decision.metrics["errors"].canary.bad) == (1000, 0)
    numbers = [event.data["number"] for event in samples(ledger, "r1", "wave-1")]
    assert numbers == list(range(len(numbers)))
    assert ledger.verify() == len(numbers) + 2
