"""Records real traffic for `benchmarks.judges`: counts by second and version, nothing of any request.

    python -m benchmarks.judges.record page ADDRESS --service api --versions 1.0.0 1.1.0 --minutes 30 --to NAME
    python -m benchmarks.judges.record ledger HOME --release ID --gate GATE --service api --to NAME

`page` reads a front door's page once a second; ADDRESS is that page, or the folder of an environment of a state
folder. `ledger` takes the samples that a gate recorded; a gate that looks less often than each second gives nothing.
Either writes recordings/NAME.jsonl, which `python -m benchmarks.judges --only recorded` judges.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.judges.recording import RECORDINGS, Counted, heading, line, write
from roundtrip.errors import EvidenceError
from roundtrip.gates.evidence import ARMS, Sample
from roundtrip.gates.fold import Totals, absorb
from roundtrip.gates.reading import Versions
from roundtrip.gates.replay import Recording, of_ledger
from roundtrip.gates.scrape import FrontDoor
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.plan.model import Metric
from roundtrip.targets.ports import read_ports

INTERVAL_SECONDS = 1.0


def metrics(service: str, bounds: Sequence[float]) -> tuple[Metric, ...]:
    """What is counted at a front door: errors, and what is slower than each of the bounds, in seconds."""
    each: list[dict[str, object]] = [
        {"name": "errors", "kind": "errors"},
        *(
            {"name": f"slower-than-{1000 * bound:g}-ms", "kind": "slow", "slower_than_seconds": bound}
            for bound in bounds
        ),
    ]
    return tuple(Metric.model_validate({**one, "source": "front-door", "service": service}) for one in each)


async def of_page(
    source: FrontDoor, seconds: float, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[dict[str, Any]]:
    """Lines of what a front door counts from now on. A second whose page cannot be read is joined to the next one.

    Raises EvidenceError when the first page cannot be read.
    """
    names = [metric.name for metric in source.metrics]
    before: Totals | None = None
    lines: list[dict[str, Any]] = []
    began = last = clock()
    for number in range(int(seconds / INTERVAL_SECONDS) + 1):
        due = number * INTERVAL_SECONDS
        await asyncio.sleep(max(0.0, due - (clock() - began).total_seconds()))
        now = clock()
        scrape = await source.read(now)
        if scrape.missing:
            why = "; ".join(sorted(set(scrape.missing.values())))
            if before is None:
                raise EvidenceError(
                    f"the first page says nothing: {why}", remedy="look whether it is that page"
                )
            print(f"not read: {why}", file=sys.stderr, flush=True)
            continue
        totals = absorb(before, scrape)
        if before is not None:
            counted = {
                source.versions.of(arm): {
                    name: totals.of(arm, names)[name] - before.of(arm, names)[name] for name in names
                }
                for arm in ARMS
            }
            lines.append(line((now - last).total_seconds(), counted))
        before, last = totals, now
    return lines


def of_samples(recording: Recording, canary: str, stable: str, service: str) -> list[dict[str, Any]]:
    """Lines of what a gate sampled of a service. Raises EvidenceError when it has no metric of it."""
    names = [metric.name for metric in recording.gate.metrics if metric.service == service]
    if not names:
        raise EvidenceError(
            "the gate has no metric of that service",
            where=service,
            remedy="name one of " + ", ".join(sorted({one.service for one in recording.gate.metrics})),
        )

    def grown(before: Sample, after: Sample) -> Counted:
        arms = ((stable, before.stable, after.stable), (canary, before.canary, after.canary))
        return {version: {name: new[name] - old[name] for name in names} for version, old, new in arms}

    complete = [one for one in recording.samples if not one.missing]
    return [
        line((after.at - before.at).total_seconds(), grown(before, after))
        for before, after in itertools.pairwise(complete)
    ]


def page_of(address: str) -> str:
    """The address of a front door's page; `address` may be the folder of an environment."""
    if "://" in address:
        return address
    return f"http://127.0.0.1:{read_ports(Path(address) / 'ports.json').proxy}/metrics"


def main(arguments: Sequence[str] | None = None, *, recordings: Path = RECORDINGS) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judges.record", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    page, ledger = kinds.add_parser("page"), kinds.add_parser("ledger")
    for one in (page, ledger):
        one.add_argument("--service", required=True)
        one.add_argument("--to", required=True, help="name of the recording")
    page.add_argument("address", help="the page, or the folder of an environment")
    page.add_argument("--versions", nargs=2, required=True, metavar=("STABLE", "CANARY"))
    bounds = "bounds of the histogram, in seconds"
    page.add_argument("--slower-than", type=float, nargs="+", default=[0.25], metavar="SECONDS", help=bounds)
    page.add_argument("--minutes", type=float, default=30)
    ledger.add_argument("home", type=Path, help="the state folder")
    ledger.add_argument("--release", required=True)
    ledger.add_argument("--gate", required=True)
    options = parser.parse_args(arguments)
    began = datetime.now(UTC)
    if options.kind == "page":
        stable, canary = options.versions
        counted = metrics(options.service, options.slower_than)
        source = FrontDoor(page_of(options.address), counted, Versions(canary=canary, stable=stable))
        lines = asyncio.run(of_page(source, 60 * options.minutes))
        origin = "a front door's page"
    else:
        lines, began, origin = _of_ledger(options)
    file = recordings / f"{options.to}.jsonl"
    write(file, heading(options.service, began, origin), lines)
    print(f"{len(lines)} seconds in {file}")


def _of_ledger(options: argparse.Namespace) -> tuple[list[dict[str, Any]], datetime, str]:
    if not (options.home / "ledger.db").exists():
        raise EvidenceError("has no ledger", where=str(options.home), remedy="give the state folder")
    ledger = Ledger(Home(options.home).ledger_url)
    recording = of_ledger(ledger, options.release, options.gate)
    started = ledger.last(options.release, "gate.started", options.gate)
    assert started is not None  # of_ledger has read it
    lines = of_samples(recording, started.data["canary"], started.data["stable"], options.service)
    return lines, recording.samples[0].at, f"gate {options.gate}"


if __name__ == "__main__":
    main()
