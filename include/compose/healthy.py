"""`python healthy.py PART`: exit 0 when a part of Airflow, or the environments, are well. With the standard library alone, since it is
run every few seconds."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path

ENVIRONMENTS = "environments"
TARGETS = Path("/run/monitoring/environments.json")
LIMIT_SECONDS = 5


def main(part: str) -> int:
    """Of a part that is named as Airflow's health page does, or of the environments."""
    return 0 if (environments_answer() if part == ENVIRONMENTS else is_healthy(part)) else 1


def is_healthy(part: str) -> bool:
    """What the api-server says of a part that writes heartbeats."""
    health = json.loads(answer(f"{os.environ['ROUNDTRIP_API']}/api/v2/monitor/health"))
    return bool(health[part]["status"] == "healthy")


def environments_answer() -> bool:
    """Whether they are all up and their proxies answer: what is up is what Prometheus is told of."""
    targets = json.loads(TARGETS.read_text(encoding="utf-8"))
    return all(answer(f"http://{target}/metrics") for group in targets for target in group["targets"])


def answer(url: str) -> bytes:
    """What is served there. Raises OSError."""
    with urllib.request.urlopen(url, timeout=LIMIT_SECONDS) as response:  # noqa: S310 - our own addresses
        return bytes(response.read())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
