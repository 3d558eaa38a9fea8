"""The environment: where a plan is carried out, and how fast.

Rules:
1. An environment names addresses, Airflow connection ids and local folders, never a credential.
2. One plan runs unchanged in every environment; what an environment shortens (soak, gate times) is written here,
   openly, and repeated in the dossier.
Published as JSON Schema by `Environment.model_json_schema()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from roundtrip.errors import PlanError
from roundtrip.plan.model import Name, Part, Seconds


class LocalTargetSettings(Part):
    """Processes under supervisord, Traefik, a Redis of its own, all on loopback and free ports."""

    kind: Literal["local"]


class ImageBuild(Part):
    """What the engine has to be told to build the platform's Dockerfiles here."""

    arguments: Annotated[
        dict[Name, dict[str, str]],
        Field(
            description="service -> build arguments, where they are not the Dockerfile's own, as for a base from a mirror. "
            "They stay in the image: no secrets"
        ),
    ] = {}
    network: Annotated[
        Literal["host", "none"] | None,
        Field(description="what a line that fetches something is run in; left out: the engine's own default"),
    ] = None


class ComposeTargetSettings(Part):
    """Containers of a Docker Engine: images by digest from a registry, Traefik and a Redis of its own, on loopback."""

    kind: Literal["compose"]
    engine: Annotated[
        str,
        Field(
            pattern=r"^unix:///.+$", description="the engine's socket; this process has to be allowed to it"
        ),
    ] = "unix:///var/run/docker.sock"
    registry: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._/-]+)?$",
            description="host, port and path that a service's name is put after: <registry>/<service>@sha256:…",
        ),
    ]
    build: ImageBuild = ImageBuild()
    traefik_image: str = "docker.io/library/traefik:v3.7"
    redis_image: str = "docker.io/library/redis:7-bookworm"


class GateTimes(Part):
    """What this environment changes in a gate of the plan, because its traffic is another. None: as the plan says."""

    minimum_seconds: Annotated[float, Field(ge=0)] | None = None
    deadline_seconds: Seconds | None = None
    warm_up_seconds: Annotated[float, Field(ge=0)] | None = None
    minimum_requests: Annotated[int, Field(ge=1)] | None = None
    metric_burst_seconds: Annotated[
        dict[Name, Seconds],
        Field(description="burst_seconds of metrics that are judged in blocks of their own"),
    ] = {}


class Traffic(Part):
    """Traffic that Roundtrip generates itself; None in the environment where real users are."""

    requests_per_second: Annotated[float, Field(gt=0, le=2000)]
    at_rest_requests_per_second: Annotated[
        float | None,
        Field(gt=0, le=2000, description="while no release acts on the environment; the same when left out"),
    ] = None

    @property
    def at_rest(self) -> float:
        """Requests a second while no release acts on the environment."""
        return self.at_rest_requests_per_second or self.requests_per_second


class PrometheusServer(Part):
    """The Prometheus server that watches this environment, for metrics of the plan with source prometheus."""

    url: Annotated[
        str,
        Field(
            pattern=r"^https?://[^@\s/?#]+(/[^@\s?#]*)?$",
            description="base address; its query interface is below it at /api/v1. No credentials in it",
        ),
    ]
    connection: Annotated[
        str | None,
        Field(
            description="Airflow connection: login and password (basic), or a password alone (bearer); None: asks for none"
        ),
    ] = None
    history_days: Annotated[
        int,
        Field(
            ge=1,
            le=31,
            description="when production's snapshot is taken, the old version's counts by hour of the day are read of so many days "
            "before, for a soak that it is not beside",
        ),
    ] = 7


class ErrorTracker(Part):
    """The server that this environment's services report errors to, for guard rails with source error-tracking."""

    kind: Annotated[Literal["bugsink"], Field(description="whose interface it is read by")]
    url: Annotated[
        str,
        Field(
            pattern=r"^https?://[^@\s/?#]+(/[^@\s?#]*)?$",
            description="base address; its interface is below it at /api/canonical/0. No credentials in it",
        ),
    ]
    projects: Annotated[
        list[Annotated[int, Field(ge=1)]],
        Field(min_length=1, description="numbers of the projects: each is the last part of its DSN"),
    ]
    connection: Annotated[
        str | None,
        Field(
            description="Airflow connection with a token as its password that may read issues and events; None: asks for none"
        ),
    ] = None
    release: Annotated[
        str,
        Field(
            pattern=r"^([^{}\s/\\]|\{service\})*\{version\}([^{}\s/\\]|\{service\})*$",
            description="what the SDKs are told as their release; {service} and {version} are filled in",
        ),
    ] = "{service}@{version}"


MomentName = Literal[
    "started",
    "waits",
    "breach",
    "rollback-begun",
    "restored",
    "broken",
    "promoted",
    "stopped",
    "post-mortem-due",
    "github-failed",
]
"""What people are told of (`roundtrip.notifying.messages.Moment`)."""


class ConnectionChannel(Part):
    """People who are told over what an Airflow connection holds the addresses of: mail, chat, a pager."""

    connection: Annotated[
        str,
        Field(min_length=1, description="Airflow connection; each value of its extra is an Apprise URL"),
    ]
    people: Annotated[
        list[Name],
        Field(description="who reads it, as the plan's rollback.notify names them; empty: everybody"),
    ] = []
    moments: Annotated[
        list[MomentName],
        Field(description="what it is told of, for a pager that wakes people; empty: everything"),
    ] = []


NotifyChannel = Annotated[
    Annotated[Literal["file"], Tag("file")] | Annotated[ConnectionChannel, Tag("connection")],
    Discriminator(lambda value: "file" if isinstance(value, str) else "connection"),
]


class GitHubActor(Part):
    """Who may pass the rules that Roundtrip sets, as GitHub numbers it."""

    kind: Literal["Integration", "User"]
    id: Annotated[int, Field(ge=1, description="number of the GitHub App, or of the user")]


class GitHubRepository(Part):
    """The repository on GitHub that a release is published in, and shown in while it runs."""

    repository: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$", description="owner/name")
    ]
    connection: Annotated[
        str, Field(min_length=1, description="Airflow connection whose extra holds the token, as 'token'")
    ]
    api: Annotated[
        str,
        Field(
            pattern=r"^(https://[^@\s/?#]+(/[^@\s?#]*)?|http://127\.0\.0\.1(:[0-9]+)?)$",
            description="base address of the REST interface; of GitHub Enterprise Server https://HOST/api/v3. No credentials in it",
        ),
    ] = "https://api.github.com"
    git: Annotated[
        str | None,
        Field(
            pattern=r"^(https://[^@\s?#]+|/.+)$",
            description="where git pushes the tag to; None: https://HOST/owner/name.git, HOST as the interface's address names it",
        ),
    ] = None
    actor: Annotated[
        GitHubActor | None,
        Field(
            description="who the token is: may pass the rules for branches and version tags; None: nobody may"
        ),
    ] = None


class Environment(Part):
    """One place where a release can be."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")]
    stage: Literal["staging", "production"]
    target: Annotated[LocalTargetSettings | ComposeTargetSettings, Field(discriminator="kind")]
    configuration: Annotated[
        dict[str, str],
        Field(
            description="variables that are no secrets; {front_door}, {internal}, {redis_port}, {github} are the target's, "
            "{release} is the version of the service that reads it"
        ),
    ] = {}
    secrets_connection: Annotated[
        str, Field(description="Airflow connection whose extra holds the secret variables")
    ]
    signing_connection: Annotated[
        str, Field(description="Airflow connection whose extra holds the signing key")
    ]
    traffic: Traffic | None = None
    expected_requests_per_second: Annotated[
        dict[Name, Annotated[float, Field(gt=0)]],
        Field(
            description="requests (of a queue: orders) that a service gets at a quiet hour; a gate that could not decide "
            "with them is refused when the release is opened"
        ),
    ] = {}
    soak_seconds: (
        Annotated[float, Field(ge=0, description="overrides the plan's soak; shown in the dossier")] | None
    ) = None
    gates: dict[Name, GateTimes] = {}
    gate_overrides_by: Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Field(description="who may override a gate here: user names as Airflow shows them; empty: nobody"),
    ] = []
    one_way_door_by: Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Field(
            description="who may accept a plan's one-way door here: user names as Airflow shows them; empty: nobody"
        ),
    ] = []
    prometheus: PrometheusServer | None = None
    error_tracker: ErrorTracker | None = None
    container_engine: Annotated[
        bool, Field(description="False: container builds are reported as not checked")
    ] = False
    notify: Annotated[
        list[NotifyChannel],
        Field(
            description="channels that people are told by: 'file' (notifications.jsonl), or of a connection"
        ),
    ] = ["file"]
    github: Annotated[
        GitHubRepository | None,
        Field(description="production only; None: nothing of the release goes to GitHub"),
    ] = None

    @field_validator("github")
    @classmethod
    def _of_production(cls, github: GitHubRepository | None, info: ValidationInfo) -> GitHubRepository | None:
        if github is not None and info.data.get("stage") == "staging":
            raise ValueError("belongs to production's environment: a release is published once")
        return github

    @property
    def form(self) -> Literal["bundle", "image"]:
        """What of a built service runs here; its digests are those of the ledger's events `build.<form>`."""
        return "image" if isinstance(self.target, ComposeTargetSettings) else "bundle"


def image_settings(environments: Mapping[str, Environment]) -> ComposeTargetSettings | None:
    """How the images of a release to these environments are made, the same for all; None when none takes any.

    Raises PlanError.
    """
    found = [environment.target for environment in environments.values()]
    takes = [one for one in found if isinstance(one, ComposeTargetSettings)]
    if any(
        (one.engine, one.registry, one.build) != (takes[0].engine, takes[0].registry, takes[0].build)
        for one in takes
    ):
        raise PlanError(
            "target: expected one engine, registry and build for all environments of a release, got several",
            where=", ".join(environment.name for environment in environments.values()),
            remedy="give each environment the same engine, registry and build",
        )
    return takes[0] if takes else None
