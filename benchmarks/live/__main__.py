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
from collections import Counter
from collections.abc import Sequence

from benchmarks.live.releasing import Ended, carry_out
from benchmarks.live.results import append, between, quantiles, read, seconds
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
    done = list(read(results))
    if not options.report and len(done) < options.runs:
        with place(options.kind) as here:
            while len(done) < options.runs:
                release = here.release(here.released + 1)
                ended = carry_out(
                    release,
                    print if options.say else lambda _: None,
                    slow_is_bad=options.kind == "latency",
                )
                append(results, ended)
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
            seconds(found, lambda o: between(o.first_bad_at, o.breach_at)),
        ),
        (
            "that sample until the canary's weight is 0",
            seconds(found, lambda o: between(o.breach_at, o.pulled_at)),
        ),
        (
            "first bad answer until the canary's weight is 0",
            seconds(found, lambda o: between(o.first_bad_at, o.pulled_at)),
        ),
        (
            "first bad answer until the last bad request was sent",
            seconds(found, lambda o: between(o.first_bad_at, o.last_bad_sent_at)),
        ),
        ("FAIL until everything is proven restored", seconds(found, lambda o: o.restored_seconds)),
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
    took = [one.seconds for one in done if one.is_promoted]
    lines = [
        f"harmless: {len(done)} releases of what ran already, {promoted} promoted",
        *_outcomes(done),
        *(f"{one.release}: {one.outcome}: {one.reason}" for one in done if not one.is_promoted),
    ]
    if took:
        lines.append(f"seconds to PROMOTED: {quantiles(took)} (median, 95th percentile, worst, n)")
    lines.append(f"failed requests: {sum(one.failed_elsewhere for one in done)}")
    return "\n".join(lines)


def _outcomes(done: Sequence[Ended]) -> list[str]:
    return [f"{count} × {outcome}" for outcome, count in Counter(one.outcome for one in done).most_common()]


if __name__ == "__main__":
    main()
