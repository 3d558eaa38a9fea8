"""Error tracking against a real Bugsink that the real Sentry SDK reports to, and against answers that are bent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from arms import gate, metric
from bugsink_server import BugsinkServer, bugsink
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from servers import free_port, serving
from test_gate_run import Killed

from roundtrip.errors import GateError
from roundtrip.gates import replay
from roundtrip.gates.error_tracking import MOST_PAGES, ErrorTracking, Tracker
from roundtrip.gates.evidence import Cause, Counts, Decision, Verdict
from roundtrip.gates.fold import RawScrape, Reading
from roundtrip.gates.gate import GateSetup, run_gate
from roundtrip.gates.reading import Limits, Source, Versions
from roundtrip.gates.sources import sources
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import ErrorTracker
from roundtrip.plan.model import Gate, GuardRail

pytestmark = pytest.mark.integration

VERSIONS = Versions(canary="1.1.0", stable="1.0.0")
RAIL = GuardRail(name="new-errors", source="error-tracking", service="workers")
API = GuardRail(name="api-errors", source="error-tracking", service="api")
SECRET = "4111-1111-hunter2"
RELEASE = "{service}@{version}"
PROJECTS = 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[BugsinkServer]:
    cache = pytestconfig.cache
    assert cache is not None
    with bugsink(tmp_path_factory.mktemp("bugsink"), cache.mkdir("bugsink"), projects=PROJECTS) as one:
        yield one


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return iter(range(1, PROJECTS + 1))


@pytest.fixture
def project(numbers: Iterator[int]) -> int:
    """A project in which nothing is reported yet."""
    return next(numbers)


def tracker(server: BugsinkServer, project: int, **changes: Any) -> Tracker:
    """The project as of a minute ago, when the canary was deployed."""
    fields: dict[str, Any] = {
        "url": server.url,
        "projects": (project,),
        "release": RELEASE,
        "deployed": datetime.now(UTC) - timedelta(minutes=1),
        "authorization": f"Bearer {server.token}",
        **changes,
    }
    return Tracker(**fields)


def read(one: Tracker, *rails: GuardRail, limits: Limits | None = None) -> RawScrape:
    source = ErrorTracking(one, rails or (RAIL,), VERSIONS, limits or Limits(seconds=10))
    return asyncio.run(source.read(datetime.now(UTC)))


def why(scrape: RawScrape) -> str:
    """Why the guard rail could not be read."""
    assert scrape.guard_rails == {}
    [(name, reason)] = scrape.missing.items()
    assert name == "guard-rail/new-errors"
    return reason


def test_a_kind_that_only_the_canary_reports_is_named_by_type_and_function_and_never_by_what_it_says(
    server, project
):
    assert read(tracker(server, project)).guard_rails == {"new-errors": 0.0}
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    scrape = read(tracker(server, project))
    assert scrape.missing == {}
    assert scrape.guard_rails == {"new-errors": 1.0}
    assert scrape.new_errors == {"new-errors": (f"TRADING{project}-1 ValueError in __main__.charge",)}
    server.report(project, "workers@1.1.0", "log", secret=SECRET)
    scrape = read(tracker(server, project))
    assert scrape.new_errors["new-errors"][0] == f"TRADING{project}-2 log message"
    assert SECRET not in repr(scrape)


def test_a_kind_that_stable_has_too_is_no_breach_whoever_reported_it_first(server, project):
    server.report(project, "workers@1.0.0", "charge", secret=SECRET)
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    server.report(project, "workers@1.1.0", "settle", secret=SECRET)
    server.report(project, "workers@1.0.0", "settle", secret=SECRET)
    scrape = read(tracker(server, project))
    assert (scrape.missing, scrape.guard_rails, scrape.new_errors) == ({}, {"new-errors": 0.0}, {})


def test_a_kind_that_was_there_before_the_release_is_no_breach(server, project):
    server.report(project, "workers@0.9.0", "charge", secret=SECRET)
    server.report(project, "", "settle", secret=SECRET)
    server.age(project)
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    server.report(project, "workers@1.1.0", "settle", secret=SECRET)
    assert read(tracker(server, project)).guard_rails == {"new-errors": 0.0}


def test_what_an_earlier_try_at_the_version_reported_counts_only_when_it_is_reported_again(server, project):
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    server.age(project)
    assert read(tracker(server, project)).guard_rails == {"new-errors": 0.0}
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    assert read(tracker(server, project)).guard_rails == {"new-errors": 1.0}


def test_each_guard_rail_counts_the_errors_of_its_own_service(server, project):
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    server.report(project, "api@1.1.0", "settle", secret=SECRET)
    server.report(project, "api@1.1.0", "price", secret=SECRET)
    scrape = read(tracker(server, project), RAIL, API)
    assert scrape.guard_rails == {"new-errors": 1.0, "api-errors": 2.0}
    tolerant = API.model_copy(update={"at_most": 2.0})
    assert read(tracker(server, project), RAIL, tolerant).new_errors.keys() == {"new-errors"}


def test_kinds_of_all_projects_count(server, numbers):
    first, second = next(numbers), next(numbers)
    server.report(first, "workers@1.1.0", "charge", secret=SECRET)
    server.report(second, "workers@1.1.0", "charge", secret=SECRET)
    assert read(tracker(server, first, projects=(first, second))).guard_rails == {"new-errors": 2.0}


@pytest.mark.parametrize("release", ["", "3f2a9c1"])
def test_a_new_kind_of_which_nobody_can_say_whose_it_is_is_no_evidence(server, project, release):
    server.report(project, release, "charge", secret=SECRET)
    assert why(read(tracker(server, project))).startswith(
        f"source-unreadable: EvidenceError: TRADING{project}-1 is new since the deployment, and its reports name no release"
    )
    server.report(project, "workers@1.0.0", "charge", secret=SECRET)
    assert read(tracker(server, project)).guard_rails == {"new-errors": 0.0}


def test_all_pages_are_read_as_far_back_as_the_deployment_and_no_further_than_the_bound(server, project):
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    server.report(project, "workers@1.0.0", "settle", secret=SECRET)
    server.multiply(project, 600)
    scrape = read(tracker(server, project))
    assert scrape.new_errors == {"new-errors": (f"TRADING{project}-1 ValueError in __main__.charge",)}
    server.multiply(project, 250 * MOST_PAGES)
    assert f"{250 * MOST_PAGES} kinds of error were seen since the deployment, and there are more" in why(
        read(tracker(server, project))
    )
    server.age(project)
    server.report(project, "workers@1.1.0", "price", secret=SECRET)
    assert read(tracker(server, project)).guard_rails == {"new-errors": 1.0}


def test_more_kinds_than_a_reason_can_name_are_counted(server, project):
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    server.multiply(project, 4)
    scrape = read(tracker(server, project))
    assert scrape.guard_rails == {"new-errors": 5.0}
    assert len(scrape.new_errors["new-errors"]) == 4
    assert scrape.new_errors["new-errors"][-1] == "2 more"


@pytest.mark.parametrize(
    ("authorization", "number", "status"),
    [
        (None, 2, 401),
        ("Bearer " + 40 * "a", 2, 401),
        ("Bearer wrong", 2, 401),
        ("bound", 2, 403),
        ("whole", 999, 404),
    ],
)
def test_a_wrong_token_or_project_is_missing_evidence_and_no_token_is_in_it(
    server, authorization, number, status
):
    known = {"bound": f"Bearer {server.bound}", "whole": f"Bearer {server.token}"}
    token = known.get(authorization, authorization)
    one = tracker(server, number, authorization=token)
    reason = why(read(one))
    assert reason.startswith(f"source-unreadable: EvidenceError: expected status 200, got {status} at ")
    assert f"of project {number}" in reason
    assert token is None or token not in reason + repr(one)


def test_a_server_that_is_down_is_missing_evidence(server):
    one = tracker(server, 1, url=f"http://127.0.0.1:{free_port()}")
    assert why(read(one)).startswith("source-unreadable: EvidenceError: no page: ")


NOW = datetime.now(UTC)
ISSUE = {
    "id": "6a9c167e-2e32-4421-8c94-ffeec0ccb608",
    "friendly_id": "TRADING-1",
    "calculated_type": "KeyError",
    "events_at": ["workers@1.0.0"],
    "first_seen": NOW.isoformat(),
    "last_seen": NOW.isoformat(),
}
OLDER = {**ISSUE, "last_seen": (NOW - timedelta(seconds=1)).isoformat()}


def page(*issues: Mapping[str, Any], following: str | None = None) -> bytes:
    return json.dumps({"next": following, "previous": None, "results": list(issues)}).encode()


class Bent(BaseHTTPRequestHandler):
    """Answers of Bugsink's documented shape, bent; a simulator, since a real one does not break on demand."""

    body = page(ISSUE)
    status = 200
    date: str | None = ""
    """None: none; empty: now"""

    def do_GET(self) -> None:
        self.send_response_only(self.status)
        if self.date is not None:
            self.send_header("Date", self.date or self.date_time_string())
        self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_args: object) -> None:
        """Quiet."""


def read_bent(limits: Limits | None = None, **changes: Any) -> RawScrape:
    with serving(type("Changed", (Bent,), changes)) as port:
        one = Tracker(f"http://127.0.0.1:{port}", (1,), RELEASE, NOW - timedelta(minutes=1), "Bearer x")
        return read(one, limits=limits)


def test_the_answers_that_are_bent_below_are_evidence_when_they_are_not():
    assert read_bent().guard_rails == {"new-errors": 0.0}
    assert read_bent(body=page(ISSUE, OLDER)).guard_rails == {"new-errors": 0.0}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"body": b"<html>"}, "source-unreadable: EvidenceError: expected JSON, got something else"),
        ({"body": b"[" * 100_000}, "source-unreadable: EvidenceError: expected JSON, got something else"),
        ({"body": b"[]"}, "source-unreadable: EvidenceError: expected a JSON object"),
        ({"body": b"{}"}, "source-unreadable: EvidenceError: answered without results"),
        (
            {"body": b'{"results": []}'},
            "source-unreadable: EvidenceError: does not say whether there are more pages",
        ),
        (
            {"body": page(following="http://127.0.0.1/")},
            "source-unreadable: EvidenceError: names a next page without a cursor",
        ),
        ({"body": page(OLDER, ISSUE)}, "source-unreadable: EvidenceError: does not list the newest first"),
        (
            {"body": page({**ISSUE, "events_at": []})},
            "source-unreadable: EvidenceError: an issue is not as expected",
        ),
        (
            {"body": page({**ISSUE, "last_seen": "x"})},
            "source-unreadable: EvidenceError: an issue is not as expected",
        ),
        (
            {"body": page({**ISSUE, "last_seen": "2026-01-01"})},
            "source-unreadable: EvidenceError: an issue is not as expected",
        ),
        (
            {"body": page({**ISSUE, "id": "../.."})},
            "source-unreadable: EvidenceError: an issue is not as expected",
        ),
        (
            {"body": b'{"next": null, "results": [null]}'},
            "source-unreadable: EvidenceError: an issue is not as expected",
        ),
        ({"status": 302}, "source-unreadable: EvidenceError: expected status 200, got 302"),
        ({"status": 503}, "source-unreadable: EvidenceError: expected status 200, got 503"),
        ({"date": None}, "source-unreadable: EvidenceError: does not tell its time"),
        ({"date": "noon"}, "source-unreadable: EvidenceError: does not tell its time"),
    ],
)
def test_an_answer_that_is_not_whole_is_missing_evidence(changes, reason):
    assert why(read_bent(**changes)).startswith(reason)


@pytest.mark.parametrize(("hours", "difference"), [(-1, "-36"), (1, "3")])
def test_a_tracker_whose_clock_is_an_hour_off_is_missing_evidence(hours, difference):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours))
    reason = f"evidence-too-old: StaleEvidenceError: its clock is {difference}"
    assert why(read_bent(date=date)).startswith(reason)


ODD = [
    None,
    "",
    5,
    "http://[",
    "?cursor=\ud800",
    "?cursor=a b&c",
    "\ud800",
    "9" * 5000,
    "workers@1.1.0",
    ["x"],
    {"a": []},
]
JSON = st.sampled_from(ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_whatever_is_answered_the_source_says_what_it_read_or_why_it_could_not():
    handler = type("Changed", (Bent,), {})

    @settings(max_examples=30, deadline=None)
    @given(
        st.fixed_dictionaries({}, optional=dict.fromkeys(ISSUE, JSON)),
        st.fixed_dictionaries({}, optional={"next": JSON, "results": JSON}),
    )
    @example({}, {"next": "?cursor=\ud800"})
    def law(issue: dict[str, Any], whole: dict[str, Any]) -> None:
        handler.body = json.dumps({"next": None, "results": [{**ISSUE, **issue}], **whole}).encode()
        scrape = read(one)
        assert len(scrape.missing) + len(scrape.guard_rails) == 1

    with serving(handler) as port:
        one = Tracker(f"http://127.0.0.1:{port}", (1,), RELEASE, NOW - timedelta(minutes=1))
        law()


def test_a_slow_or_a_long_answer_is_missing_evidence():
    def hang(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(1)

    assert "no page within 0.1 s" in why(read_bent(Limits(seconds=0.1), do_GET=hang))
    assert "longer than 100 bytes" in why(read_bent(Limits(page_bytes=100)))


def test_pages_without_an_end_are_bounded_and_the_token_goes_to_no_address_that_an_answer_names():
    """Each answer names a next page elsewhere; only its cursor is taken."""
    asked: list[tuple[str, str | None]] = []
    elsewhere: list[str] = []

    def note(handler: Bent) -> None:
        asked.append((handler.path, handler.headers["Authorization"]))
        Bent.do_GET(handler)

    def never(handler: Bent) -> None:
        elsewhere.append(handler.path)

    with serving(type("Elsewhere", (Bent,), {"do_GET": never})) as port:
        body = page(ISSUE, following=f"http://127.0.0.1:{port}/api/canonical/0/issues/?cursor=further")
        reason = why(read_bent(body=body, do_GET=note))
    assert f"{MOST_PAGES} kinds of error were seen since the deployment, and there are more" in reason
    assert [path.endswith("&cursor=further") for path, _ in asked] == [False] + [True] * (MOST_PAGES - 1)
    assert {token for _, token in asked} == {"Bearer x"}
    assert elsewhere == []


class Steady:
    """Both versions serve without an error, fast enough for a PASS within a few samples."""

    def __init__(self) -> None:
        self.served = 0

    async def read(self, at: datetime) -> RawScrape:
        self.served += 1000
        counts = Counts(self.served)
        return RawScrape(
            at, (Reading("canary", "errors", "c", counts), Reading("stable", "errors", "s", counts))
        )


def judged(
    folder: Path, plan: Gate, error_tracker: Tracker, *, pull: Any = None, while_it_runs: Any = None
) -> Decision:
    """The gate's decision; `while_it_runs` is called in a thread of its own once the gate has begun."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    setup = GateSetup("r1", "wave-1", "somewhere", canary="1.1.0", stable="1.0.0", gate=plan)

    async def pulled(_: str) -> None:
        """There is no traffic."""

    async def both() -> Decision:
        asked = sources(plan, VERSIONS, front_door="", services=folder, error_tracker=error_tracker)
        found: list[Source] = [Steady(), *(one for one in asked if isinstance(one, ErrorTracking))]
        running = asyncio.create_task(run_gate(setup, ledger, found, pull=pull or pulled))
        if while_it_runs is not None:
            await asyncio.to_thread(while_it_runs)
        return await running

    return asyncio.run(both())


def plan(**changes: Any) -> Gate:
    return gate(
        guard_rails=[RAIL],
        **{
            "interval_seconds": 0.05,
            "minimum_requests": 1,
            "stale_seconds": 10,
            "deadline_seconds": 60,
            **changes,
        },
    )


def test_one_new_kind_fails_a_gate_that_would_pass_and_a_killed_one_has_the_same_verdict(
    server, project, tmp_path
):
    server.report(project, "workers@1.0.0", "charge", secret=SECRET)
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    reasons: list[str] = []

    async def killed(reason: str) -> None:
        reasons.append(reason)
        raise Killed

    soak = plan(minimum_seconds=50)
    one = tracker(server, project)
    with pytest.raises(Killed):
        judged(
            tmp_path,
            soak,
            one,
            pull=killed,
            while_it_runs=lambda: server.report(project, "workers@1.1.0", "settle", secret=SECRET),
        )
    gone = tracker(server, project, url=f"http://127.0.0.1:{free_port()}")
    decision = judged(tmp_path, soak, gone)
    assert decision.verdict is Verdict.FAIL
    assert reasons == [decision.reason]
    assert decision.reason.startswith(
        "guard rail new-errors: workers reports new kinds of error: 1, limit 0: "
        f"TRADING{project}-2 KeyError in __main__.settle; after "
    )
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert replay.of_ledger(ledger, "r1", "wave-1").decision() == decision
    recorded = json.dumps([event.data for event in ledger.events()])
    assert SECRET not in recorded
    assert server.token not in recorded


def test_a_gate_passes_when_the_tracker_has_nothing_new(server, project, tmp_path):
    server.report(project, "workers@1.0.0", "charge", secret=SECRET)
    server.report(project, "workers@1.1.0", "charge", secret=SECRET)
    assert judged(tmp_path, plan(), tracker(server, project)).verdict is Verdict.PASS


def test_a_gate_whose_tracker_cannot_be_read_never_passes(tmp_path):
    gone = Tracker(f"http://127.0.0.1:{free_port()}", (1,), RELEASE, datetime.now(UTC))
    decision = judged(tmp_path, plan(stale_seconds=0.3), gone)
    assert (decision.verdict, decision.cause) == (Verdict.INCONCLUSIVE, Cause.UNREADABLE)
    assert "guard-rail/new-errors could not be read for " in decision.reason


def test_a_guard_rail_of_error_tracking_without_a_server_is_refused():
    with pytest.raises(GateError, match=r"the environment names no error tracker at guard rail new-errors"):
        sources(plan(), VERSIONS, front_door="", services=Path("none"))


def test_guard_rails_of_both_sources_are_read_by_their_own(tmp_path):
    switch = GuardRail(name="kill-switch", service="workers", series="kill_switch")
    one = Tracker("http://127.0.0.1:9", (1,), RELEASE, NOW)
    both = gate(metric(), guard_rails=[switch, RAIL])
    _, services, errors = sources(both, VERSIONS, front_door="", services=tmp_path, error_tracker=one)
    assert services.guard_rails == (switch,)
    assert errors.guard_rails == (RAIL,)


@pytest.mark.parametrize(
    "changes", [{"source": "error-tracking", "series": "kill_switch"}, {"source": "services"}, {}]
)
def test_a_series_belongs_to_services(changes):
    with pytest.raises(ValidationError, match="series belongs to source services, and only there"):
        GuardRail.model_validate({"name": "one", "service": "workers", **changes})


@pytest.mark.parametrize("form", ["{service}", "{version}-{version}", "{stage}@{version}", "a b@{version}"])
def test_a_release_that_cannot_be_filled_in_is_refused(form):
    with pytest.raises(ValidationError, match="release"):
        ErrorTracker.model_validate({"kind": "bugsink", "url": "http://a", "projects": [1], "release": form})


@pytest.mark.parametrize(
    ("form", "release", "version"),
    [
        (RELEASE, "workers@1.1.0", "1.1.0"),
        (RELEASE, "ops-ui@10.0.1", "10.0.1"),
        (RELEASE, "1.1.0", None),
        (RELEASE, "workers@1.1.0-rc1", None),
        ("trading+{version}", "trading+1.0.0", "1.0.0"),
        ("{version}", "1.0.0", "1.0.0"),
        ("{version}", "api@1.0.0", None),
    ],
)
def test_the_version_of_a_release_is_told_by_the_environments_form(form, release, version):
    assert Tracker("", (1,), form, NOW).version_of(release) == version
