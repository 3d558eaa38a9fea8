"""Scrape: reads Prometheus pages over HTTP and says what they show, and what could not be read.

Rules:
1. An arm is read when every process that is listed for it was; half an arm is no evidence about the whole.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

from roundtrip.errors import EvidenceError, MetricRenamedError, TargetVanishedError
from roundtrip.gates.evidence import ARMS, Arm, Counts
from roundtrip.gates.fold import RawScrape, Reading
from roundtrip.gates.guard_rails import column, shown
from roundtrip.gates.names import FRONT_DOOR, FRONT_DOOR_ALIVE, SERVICES, front_door_service, is_of_users
from roundtrip.gates.page import Outline, Page
from roundtrip.gates.reading import Limits, Versions, all_missing, fetch, missing_because
from roundtrip.plan.model import GuardRail, Metric


@dataclass(frozen=True)
class FrontDoor:
    """The front door's own counters, by service and version: they do not depend on what the canary says of itself."""

    address: str
    metrics: tuple[Metric, ...]
    versions: Versions
    limits: Limits = field(default_factory=Limits)
    outline: Outline = field(default_factory=Outline, compare=False, repr=False)

    async def read(self, at: datetime) -> RawScrape:
        try:
            page = await _page(self.address, self.limits, self.outline)
            if FRONT_DOOR_ALIVE not in page.families:
                raise EvidenceError(
                    f"has no {FRONT_DOOR_ALIVE}: it is not the front door's page", where=self.address
                )
        except EvidenceError as error:
            return RawScrape(at, (), all_missing(self.metrics, error))
        readings: list[Reading] = []
        missing: dict[str, str] = {}
        for metric in self.metrics:
            for arm in ARMS:
                try:
                    readings.append(self._reading(page, metric, arm))
                except EvidenceError as error:
                    missing[f"{arm}/{metric.name}"] = missing_because(error)
        return RawScrape(at, tuple(readings), missing)

    def _reading(self, page: Page, metric: Metric, arm: Arm) -> Reading:
        name = front_door_service(metric.service, self.versions.of(arm))
        counts = page.counts(metric, FRONT_DOOR, lambda labels: labels.get("service") == name)
        # The front door has a series from the first request on, so none is a zero, unless there was one before.
        return Reading(arm, metric.name, name, counts or Counts(), absent=counts is None)


@dataclass(frozen=True)
class Services:
    """The processes' own counters: for what does not come through the front door, and for guard rails."""

    targets: Path
    metrics: tuple[Metric, ...]
    versions: Versions
    limits: Limits = field(default_factory=Limits)
    guard_rails: tuple[GuardRail, ...] = ()
    outlines: dict[str, Outline] = field(default_factory=dict, compare=False, repr=False)
    """by address, of the processes that are listed"""

    async def read(self, at: datetime) -> RawScrape:
        try:
            listed = await asyncio.to_thread(read_targets, self.targets)
        except EvidenceError as error:
            rails = {column(rail): missing_because(error) for rail in self.guard_rails}
            return RawScrape(at, (), all_missing(self.metrics, error) | rails)
        wanted = {metric.service for metric in self.metrics} | {rail.service for rail in self.guard_rails}
        addresses = sorted({one.address for one in listed if one.service in wanted})
        self._forget(addresses)
        found = await asyncio.gather(
            *(
                _page_or_error(address, self.limits, self.outlines.setdefault(address, Outline()))
                for address in addresses
            )
        )
        pages = dict(zip(addresses, found, strict=True))
        readings: list[Reading] = []
        missing: dict[str, str] = {}
        guard_rails: dict[str, float] = {}
        for metric in self.metrics:
            for arm in ARMS:
                try:
                    here = self._of(listed, metric.service, self.versions.of(arm))
                    readings += [reading_of(pages[one.address], one.address, metric, arm, at) for one in here]
                except EvidenceError as error:
                    missing[f"{arm}/{metric.name}"] = missing_because(error)
        for rail in self.guard_rails:
            try:
                here = self._of(listed, rail.service, self.versions.canary)
                guard_rails[rail.name] = max(shown(pages[one.address], rail) for one in here)
            except EvidenceError as error:
                missing[column(rail)] = missing_because(error)
        return RawScrape(at, tuple(readings), missing, guard_rails)

    def _forget(self, addresses: Collection[str]) -> None:
        """Processes come and go; what is remembered of them goes with them."""
        for gone in self.outlines.keys() - set(addresses):
            del self.outlines[gone]

    def _of(self, listed: list[Listed], service: str, version: str) -> list[Listed]:
        """The processes of one version; at least one. Raises TargetVanishedError."""
        here = [one for one in listed if one.is_of(service, version)]
        if not here:
            raise TargetVanishedError(f"no process of {service} {version} is listed in {self.targets.name}")
        return here


@dataclass(frozen=True)
class Listed:
    """One process that can be scraped."""

    address: str
    """host:port, or a whole URL of its page"""
    service: str
    version: str

    def is_of(self, service: str, version: str) -> bool:
        return (self.service, self.version) == (service, version)


def read_targets(path: Path) -> list[Listed]:
    """The processes in a file_sd file. Raises EvidenceError."""
    try:
        return [
            Listed(str(address), str(group["labels"]["service"]), str(group["labels"]["version"]))
            for group in json.loads(path.read_text(encoding="utf-8"))
            for address in group["targets"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvidenceError(
            f"the list of processes cannot be read: {type(error).__name__}: {error}",
            where=path.name,
            remedy="the target writes it; look whether the target is up",
        ) from error


def reading_of(page: Page | EvidenceError, address: str, metric: Metric, arm: Arm, at: datetime) -> Reading:
    """What one process's page says of a metric. Raises EvidenceError, also the one that stands for its page."""
    if isinstance(page, EvidenceError):
        raise page
    if metric.kind == "gauge":
        return Reading(arm, metric.name, address, page.look(metric), is_look=True)
    names = next((names for names in SERVICES if page.has(names)), None)
    if names is None:
        raise MetricRenamedError(
            f"shows none of {', '.join(one.total for one in SERVICES)}",
            where=address,
            remedy=f"let {metric.service} count its requests, or take metric {metric.name} from the front door",
        )
    counts = page.counts(metric, names, is_of_users, at.timestamp())
    return Reading(arm, metric.name, address, counts or Counts(), started=page.started())


async def _page_or_error(address: str, limits: Limits, outline: Outline) -> Page | EvidenceError:
    try:
        return await _page(address, limits, outline)
    except EvidenceError as error:
        return error


async def _page(address: str, limits: Limits, outline: Outline) -> Page:
    """Raises TargetVanishedError when nobody answers there, EvidenceError when it is no page of metrics."""
    url = address if "://" in address else f"http://{address}/metrics"
    try:
        status, body = await fetch(url, limits)
    except EvidenceError as error:
        raise TargetVanishedError(error.what, where=error.where, remedy=error.remedy) from error
    if status != HTTPStatus.OK:
        raise TargetVanishedError(
            f"no page: expected status 200, got {status}",
            where=url,
            remedy="look whether it is up and answers there",
        )
    return outline.read(body.decode("utf-8", errors="replace"), where=url)
