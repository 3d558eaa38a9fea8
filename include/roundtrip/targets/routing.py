"""Traffic: what Traefik is told, and what it says that it does.

Rules:
1. Each service is a weighted service over one load balancer for each version; a version without weight gets nothing.
2. The file is written beside and renamed: Traefik drops requests while it reads a file that is half written.
3. A change counts when Traefik's own API shows it, not when the file is there.
4. Clients stick to a version by cookie; a cookie of a version without weight is ignored by Traefik.
5. A request that reached no process is sent to another one; one that was sent is never sent again, whatever came back
   (Traefik's retry ends when the first byte is written). The failed attempt still counts against its version.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from roundtrip import durable
from roundtrip.errors import TargetError
from roundtrip.plan.model import Plan
from roundtrip.tls import trusted

APPLY_LIMIT_SECONDS = 10
ATTEMPTS = 3
AGAIN = "again"
"""the middleware of rule 5; no service can have this name with a version"""
ANSWER_LIMIT_SECONDS = 10
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Backend:
    """One version of a service as the proxy sees it."""

    service: str
    version: str
    weight_percent: int
    urls: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in Traefik: dots would end a name there."""
        return f"{self.service}-{self.version.replace('.', '-')}"


def render(plan: Plan, backends: Sequence[Backend]) -> dict[str, Any]:
    """Traefik's dynamic configuration for these backends; deterministic."""
    services: dict[str, Any] = {}
    routers: dict[str, Any] = {}
    middlewares: dict[str, Any] = {}
    for name in sorted({backend.service for backend in backends}):
        of = sorted((b for b in backends if b.service == name), key=lambda b: b.version)
        services[name] = {
            "weighted": {
                "services": [{"name": b.name, "weight": b.weight_percent} for b in of],
                "sticky": {"cookie": {"name": f"rt-{name}", "httpOnly": True, "sameSite": "lax"}},
            }
        }
        for b in of:
            services[b.name] = {"loadBalancer": _load_balancer(b, plan.services[name].health)}
        middlewares[f"strip-{name}"] = {"stripPrefix": {"prefixes": [f"/{name}"]}}
        routers[f"{name}-internal"] = {
            "rule": f"Path(`/{name}`) || PathPrefix(`/{name}/`)",
            "entryPoints": ["internal"],
            "service": name,
            "middlewares": [f"strip-{name}", AGAIN],
        }
        settings = plan.services[name]
        for number, prefix in enumerate(p for p in (settings.route, *settings.extra_routes) if p):
            routers[f"{name}-front-{number}"] = {
                "rule": _rule(prefix),
                "entryPoints": ["front"],
                "service": name,
                "priority": 10 + len(prefix),
                "middlewares": [AGAIN],
            }
    if not services:
        return {}
    middlewares[AGAIN] = {"retry": {"attempts": ATTEMPTS, "initialInterval": "20ms"}}
    return {"http": {"services": services, "routers": routers, "middlewares": middlewares}}


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
    found = {
        item["name"].removesuffix("@file"): item for item in _services(api) if item["name"].endswith("@file")
    }
    backends = []
    for name, item in sorted(found.items()):
        for entry in item.get("weighted", {}).get("services", ()):
            load_balancer = found.get(entry["name"].removesuffix("@file"), {}).get("loadBalancer", {})
            urls = tuple(sorted(server["url"] for server in load_balancer.get("servers", ())))
            version = entry["name"].removesuffix("@file").removeprefix(f"{name}-").replace("-", ".")
            backends.append(Backend(name, version, int(entry.get("weight", 0)), urls))
    return backends


def _load_balancer(backend: Backend, health: str) -> dict[str, Any]:
    balancer: dict[str, Any] = {"servers": [{"url": url} for url in sorted(backend.urls)]}
    if len(backend.urls) > 1:
        # With one process there is no other to send to: a late health answer would only refuse what it could serve.
        balancer["healthCheck"] = {"path": health, "interval": "1s", "timeout": "2s"}
    return balancer


def _services(api: str) -> list[Mapping[str, Any]]:
    deadline = time.monotonic() + ANSWER_LIMIT_SECONDS
    while True:
        try:
            response = httpx.get(
                f"{api}/api/http/services?per_page=1000", timeout=2, trust_env=False, verify=trusted()
            )
            response.raise_for_status()
            answer: list[Mapping[str, Any]] = response.json()
            return answer
        except (httpx.HTTPError, ValueError) as error:
            if time.monotonic() > deadline:
                raise TargetError(
                    f"Traefik's API did not answer within {ANSWER_LIMIT_SECONDS} s: {error}",
                    where=api,
                    remedy="./roundtrip up starts it; see traefik.log of the environment",
                ) from error
            time.sleep(POLL_SECONDS)


def _shape(backends: Sequence[Backend]) -> list[tuple[str, str, int, tuple[str, ...]]]:
    return sorted((b.service, b.version, b.weight_percent, tuple(sorted(b.urls))) for b in backends)


def _rule(prefix: str) -> str:
    trimmed = prefix.rstrip("/")
    return f"Path(`{trimmed}`) || PathPrefix(`{trimmed}/`)" if trimmed else "PathPrefix(`/`)"
