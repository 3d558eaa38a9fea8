"""Traffic: how Traefik is told its routes, and what it says that it does.

Rules:
1. The file is written beside and renamed: Traefik drops requests while it reads a file that is half written.
2. A change counts when Traefik's own API shows it, not when the file is there. It takes up all routes of a file at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from roundtrip import durable
from roundtrip.errors import TargetError
from roundtrip.plan.model import Plan
from roundtrip.targets.routes import Backend, render
from roundtrip.tls import trusted

APPLY_LIMIT_SECONDS = 10
ANSWER_LIMIT_SECONDS = 10
POLL_SECONDS = 0.02


def write(dynamic_file: Path, plan: Plan, backends: Sequence[Backend]) -> None:
    """Have Traefik read `backends`; `wait_until_served` says when it has."""
    text = StringIO()
    YAML(typ="safe").dump(render(plan, backends), text)
    if not dynamic_file.exists() or dynamic_file.read_text(encoding="utf-8") != text.getvalue():
        # The watched folder must never hold a second, half-written file.
        durable.write(dynamic_file, text.getvalue(), beside=dynamic_file.parent.parent)


def wait_until_served(api: str, backends: Sequence[Backend], still: Callable[[], None]) -> None:
    """Returns once Traefik's API shows `backends`. Raises TargetError; `still` may raise to end the wait."""
    deadline = time.monotonic() + APPLY_LIMIT_SECONDS
    wanted = _shape(backends)
    while (served := _shape(read(api))) != wanted:
        still()
        if time.monotonic() > deadline:
            raise TargetError(
                f"Traefik did not take up the routes within {APPLY_LIMIT_SECONDS} s: expected {wanted}, got {served}",
                where=api,
                remedy="see traefik.log of the environment",
            )
        time.sleep(POLL_SECONDS)


def read(api: str) -> list[Backend]:
    """The backends that Traefik serves now. Raises TargetError when it does not answer."""
    found = _of_file(api, "services")
    backends = []
    for name, item in sorted(found.items()):
        for entry in item.get("weighted", {}).get("services", ()):
            load_balancer = found.get(entry["name"].removesuffix("@file"), {}).get("loadBalancer", {})
            urls = tuple(sorted(server["url"] for server in load_balancer.get("servers", ())))
            version = entry["name"].removesuffix("@file").removeprefix(f"{name}-").replace("-", ".")
            backends.append(Backend(name, version, int(entry.get("weight", 0)), urls))
    return backends


def front_routes(api: str) -> dict[str, str]:
    """Rule -> service of what anybody may ask for at the front door. Raises TargetError when Traefik does not answer.

    Those for clients that are in a release already follow the weights, and are not among them.
    """
    routers = _of_file(api, "routers").values()
    services = _of_file(api, "services")
    return {
        item["rule"]: item["service"]
        for item in sorted(routers, key=lambda item: str(item["rule"]))
        if item["entryPoints"] == ["front"] and "weighted" in services.get(item["service"], {})
    }


def _of_file(api: str, kind: str) -> dict[str, Mapping[str, Any]]:
    """What Traefik has read from our file, by name."""
    items = _asked(f"{api}/api/http/{kind}?per_page=1000")
    return {item["name"].removesuffix("@file"): item for item in items if item["name"].endswith("@file")}


def _asked(url: str) -> list[Mapping[str, Any]]:
    deadline = time.monotonic() + ANSWER_LIMIT_SECONDS
    while True:
        try:
            response = httpx.get(url, timeout=2, trust_env=False, verify=trusted())
            response.raise_for_status()
            answer: list[Mapping[str, Any]] = response.json()
            return answer
        except (httpx.HTTPError, ValueError) as error:
            if time.monotonic() > deadline:
                raise TargetError(
                    f"Traefik's API did not answer within {ANSWER_LIMIT_SECONDS} s: {error}",
                    where=url,
                    remedy="./roundtrip up starts it; see traefik.log of the environment",
                ) from error
            time.sleep(POLL_SECONDS)


def _shape(backends: Sequence[Backend]) -> list[tuple[str, str, int, tuple[str, ...]]]:
    return sorted((b.service, b.version, b.weight_percent, tuple(sorted(b.urls))) for b in backends)
