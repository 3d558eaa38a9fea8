"""The plan: what is released, in the words of the upgrade plan document.

Rules:
1. A plan names no machine, address or credential; those are the environment's.
2. Unknown keys are errors, references between parts are checked here, all at once.
3. Commands are argument lists; nothing in a plan is ever given to a shell.
Published as JSON Schema by `Plan.model_json_schema()`.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
Percent = Annotated[int, Field(ge=0, le=100)]
Command = Annotated[list[str], Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
SeriesName = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class Part(BaseModel):
    """Base of every part of a plan: frozen, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Repository(Part):
    """Where the change is and what its release branch is called (plan 2.1, 3.3, 3.4)."""

    main_branch: str = "main"
    working_branch: str
    release_branch: str
    tag_prefix: str = "v"


class Bundle(Part):
    """What of a built service goes into its bundle, and how the bundle is run."""

    include: Annotated[
        dict[str, str], Field(min_length=1, description="path in the built service -> path in the bundle")
    ]
    run: Annotated[
        Command,
        Field(description="argument list, relative to the bundle; {python} and {node} are the target's"),
    ]
    dependencies: Annotated[
        Literal["none", "poetry", "npm"],
        Field(
            description="poetry: wheels of the lock go to site/; npm: production node_modules beside package.json"
        ),
    ] = "none"


class Replicas(Part):
    """Processes of a service in the stable and in the new version (plan 1, Scaling)."""

    stable: Annotated[int, Field(ge=0, le=100)]
    new: Annotated[int, Field(ge=0, le=100)]


class Project(Part):
    """A folder of the platform with a manifest and a lockfile, and the commands of its toolchain (plan 2.6, 2.7, 2.9)."""

    path: Annotated[str, Field(description="folder in the repository")]
    toolchain: Literal["python", "node"]
    lint: list[Command] = []
    test: list[Command] = []
    coverage_percent: Annotated[float, Field(ge=0, le=100)] = 0
    build: list[Command] = []


class Undeployed(Project):
    """A project of the new version that no target runs; it may be made of services' sources."""

    output: Annotated[
        str | None,
        Field(
            pattern=r"^[^/.][^/]*(/[^/.][^/]*)*$",
            description="folder below `path` that its build makes: it goes into the zip",
        ),
    ] = None
    made_of: Annotated[
        list[Name], Field(description="services whose sources it is made of: what they need, it needs")
    ] = []


class Service(Project):
    """One service of the platform, its toolchain commands and what it needs to run."""

    replicas: Replicas
    bundle: Bundle
    health: str = "/healthz"
    metrics: Annotated[
        str | None, Field(description="path of its Prometheus text; None when it has none")
    ] = "/metrics"
    environment: Annotated[list[str], Field(description="variables it reads, without HOST and PORT")] = []
    environment_stable: Annotated[
        list[str] | None, Field(description="the same for the stable version; None when it reads the same")
    ] = None
    route: Annotated[
        str | None, Field(description="rule prefix at the front door; None when not reachable from outside")
    ] = None
    extra_routes: Annotated[
        list[str], Field(description="further front door prefixes, longest prefix wins")
    ] = []
    depends_on: list[Name] = []
    queue: Annotated[
        bool, Field(description="takes its work from a queue: its share is its replicas, not its weight")
    ] = False


class Variable(Part):
    """One environment variable of the platform (plan 2.3)."""

    pattern: Annotated[str, Field(description="regular expression that the whole value matches")] = r".+"
    secret: bool = False
    required: bool = True


class CodeChange(Part):
    """A file that the plan says is there, and what has to be in it (plan 2.4, 2.5)."""

    file: str
    contains: list[str] = []
    absent: list[str] = []
    sentence: Annotated[str, Field(description="the plan's sentence, shortened, with its number")]


class Checklist(Part):
    """Plan 2: what is inspected and done before anything is built."""

    code_changes: list[CodeChange]
    manifests: list[CodeChange]
    node_major: int = 20
    lockfiles: dict[str, str] = Field(description="manifest -> its lockfile", default={})
    outdated: Literal["note", "stop"] = "note"


class Series(Part):
    """How a Prometheus server names what a metric counts. The defaults are what the platform's HTTP services show."""

    total: Annotated[SeriesName, Field(description="counter of requests, or of what stands for them")] = (
        "http_requests_total"
    )
    errors: Annotated[
        SeriesName | None,
        Field(description="counter of the bad ones; None: those of total whose code is 500 to 599"),
    ] = None
    seconds: Annotated[SeriesName, Field(description="histogram of durations, without _bucket")] = (
        "http_request_duration_seconds"
    )
    labels: Annotated[
        dict[LabelName, str],
        Field(
            min_length=1,
            description="labels that pick one arm; {service}, {version} and {version_dashed} (1-1-0) are filled in",
        ),
    ] = {"service": "{service}", "version": "{version}"}
    code_label: LabelName = "code"
    instance_label: LabelName = "instance"
    of_proxy: Annotated[
        bool,
        Field(
            description="False: the labels are on the scraped targets, so `up` lists an arm's processes; "
            "True: they are on the series of a proxy"
        ),
    ] = False

    @model_validator(mode="after")
    def _labels_can_be_filled_in(self) -> Self:
        for label, text in self.labels.items():
            try:
                self.filled_in(text, "service", "1.0.0")
            except (KeyError, ValueError, IndexError) as error:
                raise ValueError(
                    f"labels.{label}: expected {{service}}, {{version}} or {{version_dashed}}, got {text!r}"
                ) from error
        if not any("{version" in text for text in self.labels.values()):
            raise ValueError("labels: one of them has to hold {version} or {version_dashed}")
        return self

    @staticmethod
    def filled_in(text: str, service: str, version: str) -> str:
        """A label's value for one version of a service."""
        return text.format(service=service, version=version, version_dashed=version.replace(".", "-"))


Kind = Literal["errors", "rejected", "slow", "throughput", "gauge"]


class Metric(Part):
    """One thing that a gate compares between canary and stable."""

    name: Name
    kind: Annotated[
        Kind,
        Field(
            description="share of requests that failed, were rejected, or were slower than slower_than_seconds; throughput: "
            "work that a process of a queue's service finishes in a second; gauge: share of looks above higher_than"
        ),
    ]
    source: Literal["front-door", "services", "prometheus"]
    service: Name
    series: Annotated[Series | None, Field(description="only for source prometheus; None: the defaults")] = (
        None
    )
    slower_than_seconds: Annotated[float | None, Field(gt=0)] = None
    gauge: Annotated[SeriesName | None, Field(description="only for kind gauge: its series")] = None
    higher_than: Annotated[
        float | None,
        Field(
            allow_inf_nan=False,
            description="only for kind gauge: the largest value of a process that is still fine",
        ),
    ] = None
    burst_seconds: Annotated[
        Seconds | None,
        Field(
            description="this metric is judged in blocks, for swings of this length of one version; needed by kind gauge. "
            "None: as the gate's noise says"
        ),
    ] = None
    fail_odds: Annotated[
        list[Annotated[float, Field(gt=1, le=1000)]],
        Field(min_length=1, description="ratios of canary's rate to stable's that the test looks for"),
    ] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0]
    tolerated_odds: Annotated[
        float,
        Field(gt=1, le=1000, description="PASS means: canary's rate is below this many times stable's, or …"),
    ] = 2.0
    absolute_tolerance: Annotated[
        float,
        Field(
            ge=0, lt=1, description="… below this rate, however rare stable's are; 0: only the ratio counts"
        ),
    ] = 0.01

    @model_validator(mode="after")
    def _a_bound_for_slow(self) -> Self:
        if (self.kind == "slow") != (self.slower_than_seconds is not None):
            raise ValueError("slower_than_seconds belongs to kind slow, and only there")
        if self.kind == "rejected" and self.source != "services":
            raise ValueError(
                "kind rejected is read from services only; at Prometheus take kind errors, and give series.errors"
            )
        if self.series is not None and self.source != "prometheus":
            raise ValueError("series belongs to source prometheus, and only there")
        return self

    @model_validator(mode="after")
    def _what_its_kind_needs(self) -> Self:
        is_gauge = self.kind == "gauge"
        if is_gauge != (self.gauge is not None) or is_gauge != (self.higher_than is not None):
            raise ValueError("gauge and higher_than belong to kind gauge, and only there")
        if is_gauge and (self.burst_seconds is None or self.absolute_tolerance == 0):
            raise ValueError(
                "kind gauge needs burst_seconds, since one look hangs together with the next, and an absolute_tolerance above 0"
            )
        if self.kind == "throughput" and self.absolute_tolerance != 0:
            raise ValueError(
                "kind throughput is compared with the stable version's alone: give absolute_tolerance 0"
            )
        by_process = self.source == "services" or (self.source == "prometheus" and not self._is_of_proxy)
        if self.kind in ("throughput", "gauge") and not by_process:
            raise ValueError(f"kind {self.kind} is of processes: a front door or a proxy does not show it")
        return self

    @property
    def _is_of_proxy(self) -> bool:
        return self.series is not None and self.series.of_proxy


class GuardRail(Part):
    """What no process of the new version may show, not even once; not compared with anything."""

    name: Name
    source: Annotated[
        Literal["services", "error-tracking"],
        Field(
            description="services: what a process shows on its page; error-tracking: how many kinds of error the new "
            "version reports that no other one ever did"
        ),
    ] = "services"
    service: Annotated[Name, Field(description="whose processes' pages are read, or whose errors")]
    series: Annotated[
        SeriesName | None,
        Field(description="only for source services: gauge, or counter since the process began"),
    ] = None
    at_most: Annotated[
        float, Field(allow_inf_nan=False, description="any value above it is a FAIL at once")
    ] = 0.0

    @model_validator(mode="after")
    def _a_series_of_services(self) -> Self:
        if (self.source == "services") != (self.series is not None):
            raise ValueError("series belongs to source services, and only there")
        return self


class Gate(Part):
    """How evidence becomes a verdict (plan 3.1, 3.4)."""

    metrics: Annotated[list[Metric], Field(min_length=1)]
    guard_rails: Annotated[
        list[GuardRail],
        Field(description="absolute limits beside the comparison: one event is enough, warm-up or not"),
    ] = []
    false_alarm: Annotated[
        float, Field(gt=0, lt=0.5, description="probability of FAIL without harm, whole gate")
    ] = 0.01
    false_pass: Annotated[float, Field(gt=0, lt=0.5, description="probability of PASS at tolerated_odds")] = (
        0.05
    )
    interval_seconds: Seconds = 1.0
    warm_up_seconds: Annotated[float, Field(ge=0)] = 0.0
    minimum_seconds: Annotated[float, Field(ge=0, description="no PASS before; FAIL at any time")] = 0.0
    deadline_seconds: Seconds
    longest_pause_seconds: Annotated[
        float, Field(ge=0, le=7 * 86400, description="how long people may pause it, all pauses together")
    ] = 14400.0
    stale_seconds: Seconds = 5.0
    minimum_requests: Annotated[
        int, Field(ge=1, description="canary requests a metric needs before it can pass")
    ] = 100
    noise: Annotated[
        Literal["independent-requests", "bursts"],
        Field(
            description="bursts: errors of one version come together for a while without being its fault; slower"
        ),
    ] = "independent-requests"
    burst_seconds: Annotated[Seconds | None, Field(description="how long a burst lasts at most")] = None
    burst_ratio: Annotated[
        float | None,
        Field(
            gt=1,
            le=1000,
            description="how many times worse than the other one a version is in a burst at most; a fault beyond it "
            "is found at once. None: of any size",
        ),
    ] = None

    @model_validator(mode="after")
    def _a_length_for_bursts(self) -> Self:
        if (self.noise == "bursts") != (self.burst_seconds is not None):
            raise ValueError("burst_seconds belongs to noise bursts, and only there")
        if self.burst_ratio is not None and self.noise != "bursts":
            raise ValueError("burst_ratio belongs to noise bursts, and only there")
        return self

    def of(self, metric: Metric) -> Gate:
        """The gate as it judges this metric, which may be in blocks of its own."""
        if metric.burst_seconds is None:
            return self
        blocks = {"noise": "bursts", "burst_seconds": metric.burst_seconds, "burst_ratio": None}
        return self.model_copy(update=blocks)

    @model_validator(mode="after")
    def _guard_rails_have_names_of_their_own(self) -> Self:
        names = [rail.name for rail in self.guard_rails]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"guard_rails: named twice: {', '.join(twice)}")
        return self


class Demands(Part):
    """Plan 3.3: what production demands of a release besides its signatures: statements by the trusted key."""

    new: Annotated[
        list[Literal["provenance", "staging"]],
        Field(
            description="of the new version: that it was built from the chosen commit, that it has passed staging"
        ),
    ] = ["provenance", "staging"]
    stable: Annotated[
        list[Literal["provenance"]], Field(description="of the version that is gone back to, also then")
    ] = ["provenance"]
    images: Annotated[
        list[Literal["signature", "provenance", "staging", "sbom"]],
        Field(
            description="of each image of the new version, beside it in the registry, as cosign believes it; "
            "their digests are signed in images.json whatever this says"
        ),
    ] = []

    @model_validator(mode="after")
    def _staging_rests_on_provenance(self) -> Self:
        if "staging" in self.new and "provenance" not in self.new:
            raise ValueError("new: 'staging' rests on 'provenance', which is not demanded")
        return self


class Sign(Part):
    """Plan 3.3."""

    demands: Demands = Demands()
    staging_days: Annotated[
        float, Field(gt=0, description="how old staging's summary may be when a wave begins")
    ] = 14


class Staging(Part):
    """Plan 3.1, 3.2."""

    strategy: Literal["canary", "blue-green"]
    canary_percent: Annotated[int, Field(ge=1, le=100)] = 50
    gate: Name
    smoke: list[Name]


class Production(Part):
    """Plan 3.4: progressive rollout and soak."""

    worker_step_percent: Annotated[int, Field(ge=1, le=100)] = 10
    traffic_percent: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1)]
    gate: Name
    soak_gate: Name
    soak_seconds: Annotated[float, Field(ge=0)]
    lease_seconds: Annotated[
        float,
        Field(
            ge=5,
            le=3600,
            description="so long nothing of the release may run in the middle of a wave or soak: then the watchdog beside "
            "the environment takes the traffic back. A restart of Airflow takes seconds",
        ),
    ] = 60.0
    flags_on: list[Name]

    @model_validator(mode="after")
    def _traffic_only_grows(self) -> Self:
        if sorted(set(self.traffic_percent)) != self.traffic_percent or self.traffic_percent[-1] != 100:
            raise ValueError("traffic_percent has to grow from wave to wave and end at 100")
        return self


class StateRule(Part):
    """Keys that one version owns in Redis (plan 4.3)."""

    pattern: Annotated[
        str,
        # What Redis and we understand alike: no sets of characters, no escapes.
        Field(pattern=r"^[^\[\]\\]+$", description="of key names; * is any characters, ? any single one"),
    ]
    type: Literal["hash", "string", "stream", "set", "zset", "list"]
    known_to_stable: Annotated[
        bool, Field(description="True: the stable version reads it, rollback leaves it alone")
    ]


class Rollback(Part):
    """Plan 4."""

    state: list[StateRule]
    state_url_variable: str = "REDIS_URL"
    state_kept_days: Annotated[
        float, Field(gt=0, le=365, description="how long a copy of the removed keys can be put back")
    ] = 7
    one_way_door: Annotated[
        str | None,
        Field(
            min_length=20,
            max_length=500,
            description="what cannot be taken back once the new version has run in production, and why; then a person has to "
            "accept that before production is touched. None: everything can",
        ),
    ] = None
    acceptance_seconds: Annotated[
        float, Field(gt=0, le=7 * 86400, description="so long the one-way door waits for an answer")
    ] = 86400
    notify: list[str] = []
    budget_seconds: Annotated[
        float, Field(gt=0, description="a drill has to find the fault and restore within")
    ] = 120


class Plan(Part):
    """One release, from one version to the next."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")]
    platform: str
    from_version: Version
    to_version: Version
    document: Annotated[str, Field(description="title of the plan document that this carries out")]
    repository: Repository
    services: Annotated[dict[Name, Service], Field(min_length=1)]
    undeployed: Annotated[
        dict[Name, Undeployed],
        Field(
            description="projects of the new version that are checked with the services; no target runs them"
        ),
    ] = {}
    variables: dict[str, Variable]
    flags: list[Name] = []
    checklist: Checklist
    gates: Annotated[dict[Name, Gate], Field(min_length=1)]
    staging: Staging
    sign: Sign = Sign()
    production: Production
    rollback: Rollback

    @model_validator(mode="after")
    def _references(self) -> Self:
        problems: list[str] = []
        if self.from_version == self.to_version:
            problems.append(f"to_version: equals from_version ({self.to_version})")
        for where, gate in (
            ("staging.gate", self.staging.gate),
            ("production.gate", self.production.gate),
            ("production.soak_gate", self.production.soak_gate),
        ):
            if gate not in self.gates:
                problems.append(f"{where}: no gate '{gate}' (known: {', '.join(sorted(self.gates))})")
        for name, gate_ in self.gates.items():
            for metric in gate_.metrics:
                if metric.service not in self.services:
                    problems.append(f"gates.{name}.metrics.{metric.name}: no service '{metric.service}'")
                elif metric.kind == "throughput" and not self.services[metric.service].queue:
                    problems.append(
                        f"gates.{name}.metrics.{metric.name}: {metric.service} takes no work from a queue (queue: true), "
                        "so its throughput is what it is sent"
                    )
            problems += [
                f"gates.{name}.guard_rails.{rail.name}: no service '{rail.service}' with a page of metrics"
                for rail in gate_.guard_rails
                if rail.source == "services"
                and (rail.service not in self.services or self.services[rail.service].metrics is None)
            ]
            problems += [
                f"gates.{name}.guard_rails.{rail.name}: no service '{rail.service}'"
                for rail in gate_.guard_rails
                if rail.source == "error-tracking" and rail.service not in self.services
            ]
        for name, service in self.services.items():
            problems += [
                f"services.{name}.environment: '{variable}' is not in variables"
                for variable in [*service.environment, *(service.environment_stable or [])]
                if variable not in self.variables
            ]
            problems += [
                f"services.{name}.depends_on: no service '{other}'"
                for other in service.depends_on
                if other not in self.services or other == name
            ]
        problems += [
            f"undeployed.{name}: is a service, too" for name in self.undeployed if name in self.services
        ]
        problems += [
            f"undeployed.{name}.made_of: no service '{other}'"
            for name, project in self.undeployed.items()
            for other in project.made_of
            if other not in self.services
        ]
        problems += [
            f"production.flags_on: '{flag}' is not in flags"
            for flag in self.production.flags_on
            if flag not in self.flags
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def projects(self) -> dict[str, Project]:
        """Everything that has a toolchain; services first, since other projects may be made of their sources."""
        return {**self.services, **self.undeployed}

    def waves(self) -> tuple[Wave, ...]:
        """The waves of production: queue workers grow by `worker_step_percent` (at least one), traffic as listed.

        The shorter of the two lists stays at its end, so the last wave always has all workers and all traffic.
        """
        queue = [service.replicas.new for service in self.services.values() if service.queue]
        most = max(queue, default=0)
        step = max(1, math.ceil(most * self.production.worker_step_percent / 100))
        worker_waves = math.ceil(most / step) if most else 0
        count = max(worker_waves, len(self.production.traffic_percent))
        traffic = self.production.traffic_percent
        return tuple(
            Wave(
                number=number,
                last=number == count,
                traffic_percent=100 if number == count else traffic[min(number, len(traffic)) - 1],
                worker_step_percent=self.production.worker_step_percent,
            )
            for number in range(1, count + 1)
        )

    def gate_ids(self) -> tuple[str, ...]:
        """The gates of a release of this plan, in the order in which they begin; a drill has the first one."""
        return (
            "staging.canary",
            *(f"production.wave_{wave.number}" for wave in self.waves()),
            "production.soak",
        )


class Wave(Part):
    """One step of production: this share of traffic and of queue workers is on the new version."""

    number: Annotated[int, Field(ge=1)]
    last: bool
    traffic_percent: Annotated[int, Field(ge=1, le=100)]
    worker_step_percent: Annotated[int, Field(ge=1, le=100)]

    def workers(self, replicas: int) -> int:
        """How many of `replicas` workers are new in this wave: in steps of at least one, all in the last."""
        step = max(1, math.ceil(replicas * self.worker_step_percent / 100))
        return replicas if self.last else min(replicas, step * self.number)


Plan.model_rebuild()
