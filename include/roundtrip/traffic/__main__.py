"""Runs the traffic until SIGTERM: `python -m roundtrip.traffic --front-door URL --rps N --state FOLDER
--seed S`.

Rules:
1. Whoever starts it supervises it; it ends by SIGTERM or SIGINT only, with the account written to its end.
2. Nothing that the platform or the proxy does ends it.
3. One generator at a time writes a state folder: a second one ends at once with exit code 75.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from roundtrip.errors import HostError
from roundtrip.traffic.generator import Generator
from roundtrip.traffic.mix import CLIENTS, FRESH_PERCENT, Mix
from roundtrip.traffic.rate import asked_rate
from roundtrip.traffic.record import Record, read_counts
from roundtrip.traffic.served_by import ServedBy


def utc_now() -> datetime:
    return datetime.now(UTC)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    folder: Path = options.state
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _only_writer(folder):
            asyncio.run(_run(options, folder))
    except HostError as error:
        sys.stderr.write(f"{error}\n")
        return os.EX_TEMPFAIL
    sys.stdout.write(json.dumps(read_counts(folder), sort_keys=True) + "\n")
    return 0


async def _run(options: argparse.Namespace, folder: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    record = Record(folder, seed=options.seed, slow_seconds=options.slow_seconds)
    mix = Mix(
        seed=options.seed,
        run=record.run,
        requests_per_second=options.rps,
        clients=options.clients,
        fresh_percent=options.fresh_percent,
    )
    generator = Generator(
        front_door=options.front_door,
        mix=mix,
        record=record,
        clients=options.clients,
        clock=utc_now,
        version_of=ServedBy(options.versions),
        rate=lambda: asked_rate(folder) or options.rps,
    )
    await generator.run(stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m roundtrip.traffic", description="Generated client traffic."
    )
    parser.add_argument("--front-door", required=True, help="address of the proxy, http://host:port")
    parser.add_argument(
        "--rps",
        required=True,
        type=float,
        help="requests a second, on average, until another rate is asked for",
    )
    parser.add_argument("--state", required=True, type=Path, help="folder of the account")
    parser.add_argument("--seed", type=int, default=1, help="what requests are drawn from")
    parser.add_argument(
        "--clients", type=int, default=CLIENTS, help="logical clients that keep their cookies"
    )
    parser.add_argument(
        "--fresh-percent", type=float, default=FRESH_PERCENT, help="share of requests without cookies"
    )
    parser.add_argument(
        "--slow-seconds", type=float, default=math.inf, help="an answer that takes longer is counted as slow"
    )
    parser.add_argument(
        "--versions",
        nargs="*",
        default=[],
        help="versions that may answer, to be told apart by the sticky cookie",
    )
    return parser


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    with (folder / "writer.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HostError(
                "another traffic generator writes this account",
                where=str(folder),
                remedy="end it first, or give another --state folder",
            ) from error
        yield


if __name__ == "__main__":
    sys.exit(main())
