"""Has the environments up for an Airflow that runs elsewhere, as the one of docker-compose.yaml does.

Rules:
1. It does what `./roundtrip up` does, without Airflow, and stays: the watchdog and the traffic of an environment are processes below it.
2. Told to end (SIGTERM), it stops the environments' containers; its next start brings them back as they were. Ended by an error, or
   killed, it leaves them running: an orchestrator that stumbles takes nothing down.
3. Where the environments' proxies are is written for Prometheus once all is up, and taken away before anything is stopped.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from roundtrip import durable
from roundtrip.commands import prepare
from roundtrip.commands.prepare import STAGES, Machine
from roundtrip.commands.runs import unfinished

TARGETS_MODE = 0o644
"""Prometheus is another user than we."""


def keep(machine: Machine, targets: Path) -> None:
    """Bring them up, and stay until told to end. Raises RoundtripError when they cannot be brought up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        targets.unlink(missing_ok=True)
        _bring_up(machine)
        proxies = {
            machine.environment(stage).name: machine.target(stage).addresses().proxy_metrics
            for stage in STAGES
        }
        durable.write_json(targets, scraped(proxies), mode=TARGETS_MODE)
        machine.say("up")
        signal.pause()
    except KeyboardInterrupt:
        machine.say("stopping the environments")
        targets.unlink(missing_ok=True)
        for stage in STAGES:
            machine.target(stage).infrastructure.down()


def scraped(proxies: Mapping[str, str]) -> list[dict[str, Any]]:
    """What Prometheus reads of a file (file_sd_config); `proxies` are addresses of metrics by environment."""
    return [
        {"targets": [urlsplit(address).netloc], "labels": {"environment": name}}
        for name, address in sorted(proxies.items())
    ]


def _bring_up(machine: Machine) -> None:
    prepare.make_keys(machine)
    prepare.wake_environments(machine)
    if left := unfinished(machine):
        # The repository and the environments are that release's until it has ended.
        machine.say(f"{left[-1].release} has not ended; everything is as it left it")
        return
    prepare.lay(machine, "")
    prepare.start_environments(machine, prepare.publish_stable(machine))
