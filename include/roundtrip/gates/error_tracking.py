"""Error tracking: kinds of error that only the canary's version has, from the server that the Sentry SDKs report to.

Rules:
1. A kind is what the server groups events into, an issue. It is new when the canary's version reported it since it was
   deployed, and no other version ever did. What an earlier try at the same version reported counts as soon as it is
   reported again, and not before.
2. Kinds are read newest first, as far back as the deployment: so each sample reads only what is active now. When a kind
   was seen is told by the server's clock; one that differs from ours by more than CLOCK_SECONDS is no evidence.
3. A report that names no release of the plan's form excuses the canary only when it came before the deployment. A kind
   that is first seen later, and only in such reports, is no evidence: it may be the canary's.
4. Of a kind only its number, the exception's type and the function that raised it are kept, when they look like names.
   Messages, variables and addresses may hold secrets.
5. Another status, shape or order, or more than MOST_PAGES pages, is no evidence.

Source: Bugsink's documentation of its API (issues, events), version 2.6.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import httpx

from roundtrip.errors import EvidenceError, StaleEvidenceError
from roundtrip.gates.fold import RawScrape
from roundtrip.gates.guard_rails import column
from roundtrip.gates.reading import Limits, Versions, answered, missing_because
from roundtrip.plan.model import GuardRail

CLOCK_SECONDS = 30.0
"""How far the server's clock may be from ours; kinds are read from that long before the deployment."""

MOST_PAGES = 4
"""Of 250 kinds each, all of them seen since the deployment."""

MOST_NAMED = 3
"""Kinds that a verdict's reason names; the others are counted."""

LOG_MESSAGE = "Log Message"
"""The server's type for what is reported without an exception."""

_NAME = re.compile(r"[\w.$<>:/-]{1,120}")
_VERSION = r"(?P<version>\d+\.\d+\.\d+)"


@dataclass(frozen=True)
class Tracker:
    """Where the error tracker is, and what to look for there."""

    url: str
    """base address; the interface is below it at /api/canonical/0"""
    projects: tuple[int, ...]
    release: str
    """what the SDKs are told as their release, with {service} and {version}"""
    deployed: datetime
    """when the canary's version came to the environment"""
    authorization: str | None = field(default=None, repr=False)
    """value of the Authorization header; None: it asks for none"""

    def release_of(self, service: str, version: str) -> str:
        return self.release.replace("{service}", service).replace("{version}", version)

    def version_of(self, release: str) -> str | None:
        """The version that a release is of, whatever the service; None when it is not of the form."""
        pattern = re.escape(self.release).replace(r"\{service\}", ".+").replace(r"\{version\}", _VERSION)
        found = re.fullmatch(pattern, release)
        return found["version"] if found else None


@dataclass(frozen=True)
class _Kind:
    """One kind of error, as the server has it."""

    id: UUID
    number: str
    """what a person finds it by, such as TRADING-3"""
    type: str
    releases: tuple[str, ...]
    """that reported it, in the order in which they first did; empty text: a report without one"""
    first: datetime
    last: datetime

    @classmethod
    def parse(cls, issue: Mapping[str, Any], *, where: str) -> _Kind:
        """Raises EvidenceError."""
        try:
            kind = cls(
                UUID(issue["id"]),
                str(issue["friendly_id"]),
                str(issue["calculated_type"]),
                tuple(str(release) for release in issue["events_at"]),
                datetime.fromisoformat(issue["first_seen"]),
                datetime.fromisoformat(issue["last_seen"]),
            )
            if not kind.releases or kind.first.tzinfo is None or kind.last.tzinfo is None:
                raise ValueError("no releases, or times without a zone")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # The values are not repeated: a message may be among them.
            raise EvidenceError(
                f"an issue is not as expected: {type(error).__name__}",
                where=where,
                remedy="look which version of the error tracker it is",
            ) from error
        return kind


@dataclass(frozen=True)
class ErrorTracking:
    """New kinds of error of the canary's version, by guard rail."""

    tracker: Tracker
    guard_rails: tuple[GuardRail, ...]
    versions: Versions
    limits: Limits = field(default_factory=Limits)

    async def read(self, at: datetime) -> RawScrape:
        try:
            found = await asyncio.gather(*(self._seen(project, at) for project in self.tracker.projects))
            new = [kind for kinds in found for kind in kinds if self._is_new(kind)]
        except EvidenceError as error:
            why = missing_because(error)
            return RawScrape(at, missing={column(rail): why for rail in self.guard_rails})
        counts: dict[str, float] = {}
        named: dict[str, tuple[str, ...]] = {}
        for rail in self.guard_rails:
            release = self.tracker.release_of(rail.service, self.versions.canary)
            here = [kind for kind in new if release in kind.releases]
            counts[rail.name] = float(len(here))
            if len(here) > rail.at_most:
                named[rail.name] = await self._names(here, at)
        return RawScrape(at, guard_rails=counts, new_errors=named)

    @property
    def _since(self) -> datetime:
        return self.tracker.deployed - timedelta(seconds=CLOCK_SECONDS)

    def _is_new(self, kind: _Kind) -> bool:
        """Rules 1 and 3, for a kind that was seen since the deployment. Raises EvidenceError when nobody can say."""
        versions = [self.tracker.version_of(release) for release in kind.releases]
        if any(version not in (None, self.versions.canary) for version in versions):
            return False
        if versions[0] is None and kind.first < self._since:
            return False
        if self.versions.canary in versions:
            return True
        raise EvidenceError(
            f"{_name(kind.number)} is new since the deployment, and its reports name no release of the form "
            f"{self.tracker.release}",
            where=self.tracker.url,
            remedy="let the services give the SDK their release, or mend error_tracker.release in the environment",
        )

    async def _seen(self, project: int, at: datetime) -> list[_Kind]:
        """The project's kinds that were seen since the deployment. Raises EvidenceError."""
        query = {"project": str(project), "sort": "last_seen", "order": "desc"}
        kinds: list[_Kind] = []
        for _ in range(MOST_PAGES):
            page = await self._ask("issues/", query, at)
            where = f"{self.tracker.url}: project {project}"
            kinds += [_Kind.parse(issue, where=where) for issue in _results(page, where)]
            if any(later.last < earlier.last for later, earlier in pairwise(kinds)):
                raise EvidenceError("does not list the newest first", where=where)
            cursor = _cursor(page, where)
            if cursor is None or (kinds and kinds[-1].last < self._since):
                return [kind for kind in kinds if kind.last >= self._since]
            query["cursor"] = cursor
        raise EvidenceError(
            f"{len(kinds)} kinds of error were seen since the deployment, and there are more",
            where=f"{self.tracker.url}: project {project}",
            remedy="look at them; so many say nothing about one version",
        )

    async def _names(self, kinds: list[_Kind], at: datetime) -> tuple[str, ...]:
        names = await asyncio.gather(*(self._named(kind, at) for kind in kinds[:MOST_NAMED]))
        more = len(kinds) - len(names)
        return (*names, f"{more} more") if more else tuple(names)

    async def _named(self, kind: _Kind, at: datetime) -> str:
        """Number, type and, when the server tells it, the function: the kind counts all the same."""
        what = "log message" if kind.type == LOG_MESSAGE else _name(kind.type)
        try:
            events = await self._ask("events/", {"issue": str(kind.id)}, at)
            event = await self._ask(f"events/{UUID(events['results'][0]['id'])}/", {}, at)
            frames = event["data"]["exception"]["values"][-1]["stacktrace"]["frames"]
            own = [frame for frame in frames if frame.get("in_app")] or frames
            place = ".".join(own[-1][part] for part in ("module", "function") if own[-1].get(part))
        except (EvidenceError, LookupError, TypeError, ValueError, AttributeError):
            place = ""
        return f"{_name(kind.number)} {what}" + (f" in {_name(place)}" if place else "")

    async def _ask(self, path: str, query: Mapping[str, str], at: datetime) -> Mapping[str, Any]:
        """Raises EvidenceError."""
        url = f"{self.tracker.url.rstrip('/')}/api/canonical/0/{path}"
        answer = await answered(
            f"{url}?{httpx.QueryParams(query)}", self.limits, authorization=self.tracker.authorization
        )
        where = f"{url} of project {query['project']}" if "project" in query else url
        if answer.status != httpx.codes.OK:
            raise EvidenceError(
                f"expected status 200, got {answer.status}",
                where=where,
                remedy="look at error_tracker in the environment: the address, the project, and whether the token of its "
                "connection may read issues and events",
            )
        try:
            told = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise EvidenceError(
                "expected JSON, got something else",
                where=where,
                remedy="look whether the address is the error tracker's",
            ) from error
        if not isinstance(told, Mapping):
            raise EvidenceError("expected a JSON object, got something else", where=where)
        _refuse_clock(answer.date, at, where)
        return told


def _results(page: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    results = page.get("results")
    if not isinstance(results, list):
        raise EvidenceError("answered without results", where=where)
    return results


def _cursor(page: Mapping[str, Any], where: str) -> str | None:
    """Where the next page begins. Its address is not followed: the token goes to the server that we know."""
    if "next" not in page:
        raise EvidenceError("does not say whether there are more pages", where=where)
    following = page["next"]
    if following is None:
        return None
    try:
        return httpx.URL(following).params["cursor"]
    except (httpx.InvalidURL, KeyError, TypeError, ValueError) as error:
        raise EvidenceError("names a next page without a cursor", where=where) from error


def _refuse_clock(date: datetime | None, at: datetime, where: str) -> None:
    if date is None:
        raise EvidenceError("does not tell its time", where=where)
    difference = (date - at).total_seconds()
    if abs(difference) > CLOCK_SECONDS:
        raise StaleEvidenceError(
            f"its clock is {difference:.0f} s from ours, no evidence beyond {CLOCK_SECONDS:g} s: what is new cannot be told",
            where=where,
            remedy="set the clocks of both machines",
        )


def _name(text: str) -> str:
    """`text` when it is a name as programs have them, else a word in its place."""
    return text if _NAME.fullmatch(text) else "(unnamed)"
