"""Puts back what a rollback removed from Redis: `./roundtrip restore-state`.

Rules:
1. Only from copies that are what the ledger says they are, and all of them before the first key is put back. Of a key
   in several copies (the rollback was killed and ran again) the newest counts.
2. Never over a key: one that is there and not the same stops it, and all are looked at before anything is put back.
3. Killed and run again it goes on: a key that is there and the same is left alone, one that is there in part is completed.
4. A key whose time is past is not put back. The others keep the moment of their end.
5. Not in the middle of a release or rollback, and not where the stable version runs alone: it does not know these keys.
   A person may force both; whoever else acts there then finds that the environment is not theirs any more, and stops.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import redis

from roundtrip.errors import RollbackError
from roundtrip.ledger.ledger import Event
from roundtrip.release import Release
from roundtrip.rollback.copying import PROGRESS_KEYS
from roundtrip.rollback.guarding import Guard, batches, guarded, holds
from roundtrip.rollback.parts import COLLECTIONS
from roundtrip.rollback.state import COPIED
from roundtrip.rollout import aside
from roundtrip.rollout.aside import NO_EXPIRY, WHOLE, Record
from roundtrip.rollout.snapshots import redis_of

log = logging.getLogger(__name__)

RESTORED = "state.restored"
HOLDER = "restore-state"
BATCH_KEYS = 200
TOLD = 10
DUMP_FOOTER_BYTES = 10
"""version and checksum at the end of what DUMP gives; a newer Redis writes others for the same content"""


@dataclass(frozen=True)
class PutBack:
    """What became of the keys of a copy."""

    keys: int = 0
    """put back now"""
    there: int = 0
    """were there already, the same"""
    expired: int = 0
    """their time is past"""


def restore_state(release: Release, stage: str, *, force: bool, actor: str) -> PutBack:
    """Put back what the rollback of `release` removed in this stage's environment. Raises RollbackError, StaleTokenError."""
    environment = release.environment(stage).name
    copies = _copies(release, environment)
    if not force:
        _require_idle(release, environment)
        _require_new_version(release, stage)
    token = release.ledger.take_token(environment, release=release.id, holder=HOLDER)
    with redis_of(release, stage) as client:
        done = put_back(client, copies, environment, holds(release, environment, token))
    data = {
        "environment": environment,
        "keys": done.keys,
        "there": done.there,
        "expired": done.expired,
        "files": [path.name for path in copies],
        "forced": force,
    }
    release.ledger.append(release.id, RESTORED, data, actor=actor)
    return done


def put_back(
    client: redis.Redis, copies: Sequence[Path], environment: str, guard: Guard = lambda: None
) -> PutBack:
    """Put back the keys of `copies`, the newest first. Raises RollbackError before anything when one is another now."""
    seconds, microseconds = client.time()
    now_ms = seconds * 1000 + microseconds // 1000
    conflicts: list[bytes] = []
    for batch in guarded(batches(_keys(copies, now_ms), BATCH_KEYS), guard):
        conflicts += _conflicts(client, batch)
    if conflicts:
        told = ", ".join(name.decode("utf-8", "backslashreplace") for name in conflicts[:TOLD])
        raise RollbackError(
            f"{len(conflicts)} keys are there with another content: {told}",
            where=environment,
            remedy="nothing was put back; rename or remove these keys, or leave them and do without the copy",
        )
    done = PutBack(expired=sum(1 for _ in _newest(copies)) - sum(1 for _ in _keys(copies, now_ms)))
    for batch in guarded(batches(_keys(copies, now_ms), BATCH_KEYS), guard):
        done = _put(client, batch, done, environment)
    return done


def _copies(release: Release, environment: str) -> list[Path]:
    """The release's copies of this environment, newest first, each what the ledger says it is. Raises RollbackError."""
    events = [
        event
        for event in release.ledger.events(release.id, kind=COPIED)
        if event.data["environment"] == environment
    ]
    if not events:
        raise RollbackError(
            "no rollback of this release has removed a key here",
            where=f"{release.id}, {environment}",
            remedy="./roundtrip status names the newest release, `--stage` the environment",
        )
    for event in events:
        _require_kept(event)
    paths = []
    for event in reversed(events):
        path = release.folder / "aside" / str(event.data["file"])
        aside.verify(path, event.data["digest"])
        paths.append(path)
    return paths


def _require_kept(event: Event) -> None:
    until = datetime.fromisoformat(event.data["kept_until"])
    if until <= datetime.now(UTC):
        raise RollbackError(
            f"the copy of {event.at:%Y-%m-%d %H:%M} UTC was kept until {until:%Y-%m-%d %H:%M} UTC",
            where=str(event.data["file"]),
            remedy="it cannot be put back any more; rollback.state_kept_days of the plan says how long copies are kept",
        )


def _require_idle(release: Release, environment: str) -> None:
    """Raises RollbackError when a release or rollback has begun in this environment and not ended."""
    ledger = release.ledger
    for started in ledger.events(kind="release.started"):
        if environment not in started.data["environments"].values():
            continue
        ended = ledger.last(started.release, "release.outcome")
        acts = [
            event
            for event in ledger.events(started.release, kind="token.taken", after=ended.seq if ended else 0)
            if event.data["holder"] != HOLDER
        ]
        if acts or ended is None:
            raise RollbackError(
                f"{started.release} has begun something here and not ended",
                where=environment,
                remedy="wait for its end (./roundtrip status), or use --force: then it stops, and you finish by hand",
            )


def _require_new_version(release: Release, stage: str) -> None:
    running = release.target(stage).observe().versions()
    if set(running) <= {release.plan.from_version}:
        raise RollbackError(
            f"expected {release.plan.to_version} to run, got {', '.join(running) or 'nothing'}, which does not know these keys",
            where=release.environment(stage).name,
            remedy="--force puts them back all the same; read ./roundtrip restore-state --help first",
        )


Parts = list[Record]
"""The records of one key."""


def _newest(copies: Sequence[Path]) -> Iterator[Parts]:
    """Every key once, as its newest copy has it. Names are kept in memory only where there are several copies."""
    seen: set[bytes] = set()
    for path in copies:
        ours: set[bytes] = set()
        for name, parts in groupby(aside.records(path), key=lambda record: record.name):
            if name not in seen:
                yield list(parts)
            if len(copies) > 1:
                ours.add(name)
        seen |= ours


def _keys(copies: Sequence[Path], now_ms: int) -> Iterator[Parts]:
    """Those of `_newest` whose time is not past."""
    return (
        parts for parts in _newest(copies) if parts[0].expires_ms == NO_EXPIRY or parts[0].expires_ms > now_ms
    )


def _conflicts(client: redis.Redis, batch: Iterable[Parts]) -> list[bytes]:
    """Names of those that are there and are not what the copy has, nor a part of it."""
    keys = list(batch)
    asking = client.pipeline(transaction=False)
    for parts in keys:
        asking.exists(parts[0].name)
    there = [parts for parts, exists in zip(keys, asking.execute(), strict=True) if exists]
    return [parts[0].name for parts in there if not _is_ours(client, parts)]


def _is_ours(client: redis.Redis, parts: Parts) -> bool:
    first = parts[0]
    if first.kind != WHOLE:
        return COLLECTIONS[first.kind].has_only(client, parts)
    now: Any = client.dump(first.name)
    return now is not None and now[:-DUMP_FOOTER_BYTES] == first.payload[:-DUMP_FOOTER_BYTES]


def _put(client: redis.Redis, batch: list[Parts], done: PutBack, environment: str) -> PutBack:
    whole = [parts for parts in batch if parts[0].kind == WHOLE]
    putting = client.pipeline(transaction=False)
    for (record,) in whole:
        putting.restore(record.name, max(record.expires_ms, 0), record.payload, absttl=record.expires_ms > 0)
    for parts, answer in zip(whole, putting.execute(raise_on_error=False), strict=True):
        is_there = isinstance(answer, redis.ResponseError) and "BUSYKEY" in str(answer)
        if is_there:
            _require_ours(client, parts, environment)
        elif isinstance(answer, Exception):
            raise answer
        done = _counted(done, is_new=not is_there)
    for parts in batch:
        if parts[0].kind != WHOLE:
            _require_ours(client, parts, environment)
            done = _counted(done, is_new=COLLECTIONS[parts[0].kind].complete(client, parts))
    return done


def _counted(done: PutBack, *, is_new: bool) -> PutBack:
    if not is_new:
        return replace(done, there=done.there + 1)
    if (done.keys + 1) % PROGRESS_KEYS == 0:
        log.info("%d keys are put back", done.keys + 1)
    return replace(done, keys=done.keys + 1)


def _require_ours(client: redis.Redis, parts: Parts, environment: str) -> None:
    if not client.exists(parts[0].name) or _is_ours(client, parts):
        return
    raise RollbackError(
        f"somebody wrote {parts[0].name.decode('utf-8', 'backslashreplace')} meanwhile",
        where=environment,
        remedy="it was left as it is; stop what writes there, then run this again: it goes on",
    )
