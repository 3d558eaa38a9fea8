"""What Traefik is told: a whole release for each client, as far as it gets traffic.

Rules:
1. Each service is a weighted service over one load balancer for each version; a version without weight gets nothing.
2. The weights are for clients that come for the first time. The one cookie says whose release a client is in since, and
   sends it there for every service: nobody sees one version's pages over another one's api.
3. The cookie of a version without weight counts for nothing: such a client is given another release.
4. A service calls another by `<internal>/<its own version>/<service>` and gets its own release's, with or without weight.
   What the release does not have is given by weight, as `<internal>/<service>` is.
5. A request that reached no process is sent to another one; one that was sent is never sent again, whatever came back
   (Traefik's retry ends when the first byte is written). The failed attempt still counts against its version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roundtrip.affinity import COOKIE, cookie_value, proxy_name
from roundtrip.plan.model import Plan

ATTEMPTS = 3
AGAIN = "again"
"""the middleware of rule 5; no service can have this name with a version"""

Parts = Iterator[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Backend:
    """One version of a service as the proxy sees it."""

    service: str
    version: str
    weight_percent: int
    urls: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in Traefik."""
        return proxy_name(self.service, self.version)


def render(plan: Plan, backends: Sequence[Backend]) -> dict[str, Any]:
    """Traefik's dynamic configuration for these backends; deterministic."""
    if not backends:
        return {}
    services: dict[str, Any] = {}
    routers: dict[str, Any] = {}
    middlewares: dict[str, Any] = {
        AGAIN: {"retry": {"attempts": ATTEMPTS, "initialInterval": "20ms"}},
    }
    for name in sorted({backend.service for backend in backends}):
        of = sorted((b for b in backends if b.service == name), key=lambda b: b.version)
        services |= _services(plan, name, of)
        routers |= _front(plan, name, of)
        for router, prefix, service in _inside(plan, name, of):
            middlewares[f"strip-{router}"] = {"stripPrefix": {"prefixes": [prefix]}}
            routers[router] = {
                "rule": _below(prefix),
                "entryPoints": ["internal"],
                "service": service,
                "middlewares": [f"strip-{router}", AGAIN],
            }
    return {"http": {"services": services, "routers": routers, "middlewares": middlewares}}


def _services(plan: Plan, name: str, of: Sequence[Backend]) -> Parts:
    cookie = {"name": COOKIE, "httpOnly": True, "sameSite": "lax"}
    shares = [{"name": b.name, "weight": b.weight_percent} for b in of]
    yield name, {"weighted": {"services": shares, "sticky": {"cookie": cookie}}}
    for b in of:
        yield b.name, {"loadBalancer": _load_balancer(b, plan.services[name].health)}


def _front(plan: Plan, name: str, of: Sequence[Backend]) -> Parts:
    """For each prefix: by weight, and before that by the cookie. The longest prefix is asked first."""
    settings = plan.services[name]
    for number, prefix in enumerate(p for p in (settings.route, *settings.extra_routes) if p):
        rule, priority = _below(prefix), 10 + 2 * len(prefix)
        yield f"{name}-front-{number}", _at_front(rule, priority, name)
        for b in of:
            if b.weight_percent:
                held = f"({rule}) && {_holding(plan, b.version)}"
                yield f"{b.name}-front-{number}", _at_front(held, priority + 1, b.name)


def _at_front(rule: str, priority: int, service: str) -> dict[str, Any]:
    return {
        "rule": rule,
        "entryPoints": ["front"],
        "service": service,
        "priority": priority,
        "middlewares": [AGAIN],
    }


def _inside(plan: Plan, name: str, of: Sequence[Backend]) -> Iterator[tuple[str, str, str]]:
    """Router, prefix and the proxy's service of each way to `name` from within (rule 4)."""
    yield f"{name}-internal", f"/{name}", name
    own: Mapping[str, str] = {b.version: b.name for b in of if b.urls}
    for version in (plan.from_version, plan.to_version):
        yield f"{proxy_name(name, version)}-internal", f"/{version}/{name}", own.get(version, name)


def _holding(plan: Plan, version: str) -> str:
    """The rule for a client in this version's release, whichever service gave it the cookie."""
    values = "|".join(cookie_value(service, version) for service in sorted(plan.services))
    return f"HeaderRegexp(`Cookie`, `(^|; ?){COOKIE}=({values})(;|$)`)"


def _load_balancer(backend: Backend, health: str) -> dict[str, Any]:
    balancer: dict[str, Any] = {"servers": [{"url": url} for url in sorted(backend.urls)]}
    if len(backend.urls) > 1:
        # With one process there is no other to send to: a late health answer would only refuse what it could serve.
        balancer["healthCheck"] = {"path": health, "interval": "1s", "timeout": "2s"}
    return balancer


def _below(prefix: str) -> str:
    trimmed = prefix.rstrip("/")
    return f"Path(`{trimmed}`) || PathPrefix(`{trimmed}/`)" if trimmed else "PathPrefix(`/`)"
