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
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq, TaggedScalar
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tag import Tag

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
MOUNTED = "/run/roundtrip"
"""where a container finds what is mounted for it"""
HEALTH: Mapping[str, Any] = {"interval": "5s", "timeout": "3s", "retries": 3, "start_period": "60s"}
"""how often the engine runs the image's own health check: a process in each container, which a second's interval would fill two
processors with. The first one comes after an interval; until then it is run by `Containers.healthy`."""
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


def platform_file(service: str, section: Mapping[str, Any]) -> str:
    """The platform's Compose file, with this service alone."""
    return _yaml({"services": {service: {"image": "scratch", **section}}})


@dataclass(frozen=True)
class NewInstance:
    """One more instance of a set."""

    placement: Placement
    image: str
    """by digest"""
    section: Mapping[str, Any]
    """of the platform's Compose file"""
    variables: Mapping[str, str]
    port: int
    """of loopback, its own for good: two of them never change places, whatever starts again when"""


def overlay(place: Place, new: NewInstance) -> str:
    """What is laid over the platform's section to have this instance."""
    taken_off = {key: TaggedScalar("null", tag="!reset") for key in NOT_OF_THE_PLATFORM if key in new.section}
    instead = {
        "ports": _instead([f"127.0.0.1:{new.port}:{INSIDE_PORT}"]),
        "networks": _instead(["environment"]),
    }
    return _yaml(
        {
            "services": {new.placement.service: {**taken_off, **instead, **_added(place, new)}},
            "networks": {"environment": {"name": place.network, "external": True}},
        }
    )


def _instead(values: list[str]) -> CommentedSeq:
    """These, and none of the platform's (Compose specification, 13-merge.md)."""
    sequence = CommentedSeq(map(DoubleQuotedScalarString, values))
    sequence.yaml_set_ctag(Tag(suffix="!override"))
    return sequence


def _yaml(content: Mapping[str, Any]) -> str:
    text = StringIO()
    YAML().dump(_quoted(content), text)
    return text.getvalue()


def _quoted(value: Any) -> Any:
    """Every text in quotes: what is a text in one version of YAML is a number or a truth in another."""
    if isinstance(value, CommentedSeq | TaggedScalar):
        return value
    if isinstance(value, Mapping):
        return {key: _quoted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_quoted(one) for one in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) else value


def _added(place: Place, new: NewInstance) -> dict[str, Any]:
    p = new.placement
    own = {"HOST": INSIDE_HOST, "PORT": str(INSIDE_PORT), "FLAGS_FILE": f"{MOUNTED}/flags.json"}
    given = {**new.variables, **own}
    flags = {"type": "bind", "source": place.flags, "target": MOUNTED, "read_only": True}
    return {
        "image": new.image,
        "restart": "unless-stopped",
        "environment": {name: value.replace("$", "$$") for name, value in given.items()},
        "healthcheck": dict(HEALTH),
        "labels": {
            ENVIRONMENT: place.environment,
            SERVICE: p.service,
            VERSION: p.version,
            BUNDLE: p.bundle,
            CONFIGURATION: p.configuration,
            PORT: str(new.port),
        },
        "volumes": [flags],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
