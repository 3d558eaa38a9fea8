"""The rate that clients send at: asked for by a file beside their account, read by the generator once a second.

Rules:
1. Where the new version serves the full rate is asked for, and the rate at rest in the release's other environments; a
   rollback asks for production's full rate, when production was touched; the end of a release for the rate at rest in
   all. So what is built or started has a machine that is not busy with clients, and nothing is ever judged on the
   traffic at rest.
2. What cannot be read is no rate: the generator goes on with the one it was started with.
3. A rate that cannot be asked for, on a full disk say, is logged and stops nobody: least of all a rollback.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path

from roundtrip import durable
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home

log = logging.getLogger(__name__)

RATE = "rate.json"
RATE_KEY = "requests_per_second"


def traffic_folder(home: Home, environment: str) -> Path:
    """Where the generator of an environment keeps its account."""
    return home.environment(environment) / "traffic"


def ask_for_traffic(home: Home, environments: Mapping[str, Environment], *, full: str | None) -> None:
    """The full rate in the environment of stage `full`, the rate at rest in the others; None: at rest in all."""
    let_rest(home, environments, but=full)
    if full is not None and (traffic := environments[full].traffic) is not None:
        _ask(home, environments[full].name, traffic.requests_per_second)


def let_rest(home: Home, environments: Mapping[str, Environment], *, but: str | None) -> None:
    """The rate at rest in all environments but that of stage `but`, whose clients go on as they do."""
    for stage, environment in environments.items():
        if stage != but and environment.traffic is not None:
            _ask(home, environment.name, environment.traffic.at_rest)


def asked_rate(folder: Path) -> float | None:
    """Requests a second that were asked for; None: nobody asked, or it cannot be read."""
    try:
        rate = float(json.loads((folder / RATE).read_text(encoding="utf-8"))[RATE_KEY])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rate if math.isfinite(rate) and rate > 0 else None


def _ask(home: Home, environment: str, rate: float) -> None:
    folder = traffic_folder(home, environment)
    if asked_rate(folder) == rate:
        return
    try:
        durable.write_json(folder / RATE, {RATE_KEY: rate})
    except OSError as error:
        log.warning("%s: clients stay at their rate, %g/s cannot be asked for: %s", environment, rate, error)
