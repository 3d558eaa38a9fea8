"""What Roundtrip lays over the platform's own Compose file, and the names it knows containers by. Pure.

Rules:
1. The platform's file is never edited: its section of a service is taken as it is, and a second file says the rest.
2. A service set is what runs one image with one configuration: a Compose project of its own, so that canary and stable
   stand side by side, and `docker compose ls` shows them.
3. What a container is, is in its labels: they are of the engine, and need no file of ours to be read.
4. The overlay holds the variables, so only its owner reads it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roundtrip.errors import ArtefactError
from roundtrip.plan.deployment import Placement

LABEL = "io.roundtrip."
ENVIRONMENT, SERVICE, VERSION, BUNDLE, CONFIGURATION, PORT = (
    LABEL + name for name in ("environment", "service", "version", "bundle", "configuration", "port")
)
SECTION = LABEL + "compose"
"""of an image: the service's section of the platform's Compose file, as JSON"""
TITLE, REVISION = "org.opencontainers.image.title", "org.opencontainers.image.version"
"""of an image: service and version, as the OCI image specification names them (annotations.md)"""
NUMBER = "com.docker.compose.container-number"
INSIDE_HOST = "0.0.0.0"  # noqa: S104 - of the container
INSIDE_PORT = 8000
PAIR = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")
FLAGS_FOLDER = "/run/roundtrip"
HEALTH: Mapping[str, Any] = {"interval": "1s", "timeout": "3s", "retries": 3, "start_period": "60s"}
"""how often the image's own health check is run"""
NOT_OF_THE_PLATFORM = ("build", "container_name", "depends_on", "env_file", "links", "network_mode")
"""of its section: an environment's own, or another service's, which is not in this set"""


@dataclass(frozen=True)
class Place:
    """What of an environment a set has to know."""

    environment: str
    flags: str
    """folder on the engine's machine that holds flags.json"""
    network: str


def slug(environment: str) -> str:
    """An environment's name as Compose and DNS take it."""
    return environment.replace("_", "-")


def set_name(environment: str, p: Placement) -> str:
    """The Compose project of a set; another configuration of the same version is another set."""
    build = hashlib.sha256(f"{p.bundle} {p.configuration}".encode()).hexdigest()[:8]
    return f"{slug(environment)}-{p.service}-{p.version.replace('.', '-')}-{build}"


def section_of(labels: Mapping[str, str], where: str) -> dict[str, Any]:
    """A service's section, of its image's labels. Raises ArtefactError."""
    text = labels.get(SECTION, "{}")
    try:
        section = json.loads(text)
    except ValueError as error:
        raise ArtefactError(
            f"label {SECTION}: expected JSON, got {text[:40]!r}", where=where, remedy="build the image again"
        ) from error
    if not isinstance(section, dict):
        raise ArtefactError(
            f"label {SECTION}: expected an object, got {text[:40]!r}",
            where=where,
            remedy="build the image again",
        )
    return section


def require_health_check(image: Mapping[str, Any], section: Mapping[str, Any], where: str) -> None:
    """Raises ArtefactError for a service that nobody could call healthy. `image` is its configuration (`Config`)."""
    own, test = section.get("healthcheck"), (image.get("Healthcheck") or {}).get("Test") or ["NONE"]
    if own.get("disable") if own else test[0] == "NONE":
        raise ArtefactError(
            "has no health check, so it would never get traffic",
            where=where,
            remedy="give its Dockerfile a HEALTHCHECK, or its section of the Compose file a healthcheck",
        )


def platform_file(service: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """The platform's Compose file, with this service alone."""
    return {"services": {service: {"image": "scratch", **section}}}


@dataclass(frozen=True)
class Member:
    """One more instance of a set."""

    placement: Placement
    image: str
    """by digest"""
    section: Mapping[str, Any]
    """of the platform's Compose file"""
    variables: Mapping[str, str]
    port: int
    """of loopback, its own for good: two of them never change places, whatever starts again when"""


def overlay(place: Place, member: Member) -> str:
    """What is laid over the platform's section to have this instance."""
    p = member.placement
    taken_off = [f"    {key}: !reset null" for key in NOT_OF_THE_PLATFORM if key in member.section]
    added = [f"    {key}: {_flow(value)}" for key, value in _added(place, member).items()]
    port = json.dumps([f"127.0.0.1:{member.port}:{INSIDE_PORT}"])
    network = json.dumps({"name": place.network, "external": True})
    lines = [
        "services:",
        f"  {json.dumps(p.service)}:",
        *taken_off,
        f"    ports: !override {port}",
        "    networks: !override [environment]",
        *added,
        "networks:",
        f"  environment: {network}",
    ]
    return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    """As YAML: it reads JSON, but for a character that JSON escapes as two halves."""

    def whole(pair: re.Match[str]) -> str:
        character = json.loads('"' + pair[0] + '"')
        return f"\\U{ord(character):08x}"

    return PAIR.sub(whole, json.dumps(value))


def _added(place: Place, member: Member) -> dict[str, Any]:
    p = member.placement
    own = {"HOST": INSIDE_HOST, "PORT": str(INSIDE_PORT), "FLAGS_FILE": f"{FLAGS_FOLDER}/flags.json"}
    given = {**member.variables, **own}
    flags = {"type": "bind", "source": place.flags, "target": FLAGS_FOLDER, "read_only": True}
    return {
        "image": member.image,
        "restart": "unless-stopped",
        "environment": {name: value.replace("$", "$$") for name, value in given.items()},
        "healthcheck": dict(HEALTH),
        "labels": {
            ENVIRONMENT: place.environment,
            SERVICE: p.service,
            VERSION: p.version,
            BUNDLE: p.bundle,
            CONFIGURATION: p.configuration,
            PORT: str(member.port),
        },
        "volumes": [flags],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
