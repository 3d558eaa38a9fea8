"""Releases of the real platform on this machine, one after the other, with a fault in them or with nothing new at all.

    PYTHONPATH=include .venv/bin/python -m benchmarks.live errors --runs 20
    PYTHONPATH=include .venv/bin/python -m benchmarks.live latency --runs 20
    PYTHONPATH=include .venv/bin/python -m benchmarks.live harmless --runs 40
    PYTHONPATH=include .venv/bin/python -m benchmarks.live quiet --runs 1       # too few clients: INCONCLUSIVE

The first run of a kind builds what it needs (minutes). A release of a fault takes about a minute, a harmless one about two.
Each is written to `.roundtrip/live/<kind>.jsonl` as it ends; a run that is cut off goes on with the same command, and
`--report` prints the tables of what is there.

Times are the clients' own (the traffic generator's account): from the moment when one of them had the first bad answer of
the new version (of `errors` and `crash`: a failed one; of `latency`: one slower than the plan's bound) until the gate had taken its weight to 0, as the target confirmed.
The last bad request is the last one that a client *sent* and that was answered badly.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live.releasing import Ended, carry_out
from benchmarks.live.stage import HARMLESS, HOME, QUIET, place

KINDS = ("errors", "latency", "crash", HARMLESS, QUIET)


def main() -> None:
    """Release `runs` times, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--runs", type=int, default=20, help="how many releases there are to be in the end")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    parser.add_argument("--say", action="store_true", help="print what the gates say")
    options = parser.parse_args()
    results = HOME / f"{options.kind}.jsonl"
    done = list(_read(results))
    if not options.report and len(done) < options.runs:
        with place(options.kind) as here:
            while len(done) < options.runs:
                release = here.release(here.released + 1)
                ended = carry_out(
                    release,
                    print if options.say else lambda _: None,
                    slow_is_bad=options.kind == "latency",
                )
                _append(results, ended)
                done.append(ended)
                print(
                    f"{len(done)}/{options.runs} {ended.release}: {ended.outcome}, {ended.seconds:.0f} s {ended.reason}",
                    flush=True,
                )
    print(_harmless(done) if options.kind == HARMLESS else _faults(options.kind, done))


def _faults(kind: str, done: Sequence[Ended]) -> str:
    found = [one for one in done if one.breach_at is not None]
    rows = [
        (
            "first bad answer until the sample that made it FAIL",
            _seconds(found, lambda o: _between(o.first_bad_at, o.breach_at)),
        ),
        (
            "that sample until the canary's weight is 0",
            _seconds(found, lambda o: _between(o.breach_at, o.pulled_at)),
        ),
        (
            "first bad answer until the canary's weight is 0",
            _seconds(found, lambda o: _between(o.first_bad_at, o.pulled_at)),
        ),
        (
            "first bad answer until the last bad request was sent",
            _seconds(found, lambda o: _between(o.first_bad_at, o.last_bad_sent_at)),
        ),
        ("FAIL until everything is proven restored", _seconds(found, lambda o: o.restored_seconds)),
    ]
    lines = [
        f"{kind}: {len(done)} releases, {len(found)} found by a gate",
        *_outcomes(done),
        "",
        "| seconds | median | 95th percentile | worst | n |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {what} | {told} |" for what, told in rows),
        "",
        f"failed requests that the new version did not answer: {sum(one.failed_elsewhere for one in done)}",
    ]
    return "\n".join(lines)


def _harmless(done: Sequence[Ended]) -> str:
    promoted = sum(one.is_promoted for one in done)
    seconds = [one.seconds for one in done if one.is_promoted]
    lines = [
        f"harmless: {len(done)} releases of what ran already, {promoted} promoted",
        *_outcomes(done),
        *(f"{one.release}: {one.outcome}: {one.reason}" for one in done if not one.is_promoted),
    ]
    if seconds:
        lines.append(f"seconds to PROMOTED: {_quantiles(seconds)} (median, 95th percentile, worst, n)")
    lines.append(f"failed requests: {sum(one.failed_elsewhere for one in done)}")
    return "\n".join(lines)


def _outcomes(done: Sequence[Ended]) -> list[str]:
    return [f"{count} × {outcome}" for outcome, count in Counter(one.outcome for one in done).most_common()]


def _seconds(found: Sequence[Ended], of: Callable[[Ended], float | None]) -> str:
    values = [value for one in found if (value := of(one)) is not None]
    return _quantiles(values) if values else "– | – | – | 0"


def _quantiles(values: Sequence[float]) -> str:
    low, high = np.quantile(values, [0.5, 0.95])
    return f"{low:.2f} | {high:.2f} | {max(values):.2f} | {len(values)}"


def _between(first: datetime | None, then: datetime | None) -> float | None:
    return (then - first).total_seconds() if first and then else None


def _append(file: Path, ended: Ended) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(ended), default=lambda at: at.isoformat()) + "\n")


def _read(file: Path) -> Iterator[Ended]:
    if not file.exists():
        return
    moments = {one.name for one in fields(Ended) if one.name.endswith("_at")}
    for line in file.read_text(encoding="utf-8").splitlines():
        data: dict[str, Any] = json.loads(line)
        values: dict[str, Any] = {
            name: datetime.fromisoformat(value) if name in moments and value else value
            for name, value in data.items()
        }
        yield Ended(**values)


if __name__ == "__main__":
    main()
