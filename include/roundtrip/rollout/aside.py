"""Copies of Redis keys that a rollback removes, as files in the release's folder: `aside/<environment>-<token>.keys`.

Rules:
1. A copy is whole or not there, only its owner reads it, and it is nowhere else: values may be sensitive.
2. What the ledger knows of it (`state.copied`) is its name, its digest and counts; a copy that does not fit its digest
   is never put back.
3. A copy says itself until when it is kept. What is past that is removed whenever a release or a rollback begins.
4. It is read and written as a stream: a million keys are one file, and never all of it in memory.

The file: one line of JSON (`Header`), then records: RECORD, the key's name, its payload. The payload is what Redis's DUMP
gives; or a part of a collection, as items with their lengths (ITEM): then records of the same key follow each other. A
collection is in parts when it is large, and when Redis keeps it as a hash table: such a DUMP is not the same twice.
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from roundtrip import durable
from roundtrip.errors import RollbackError
from roundtrip.plan.home import Home
from roundtrip.targets.bundles import file_digest

log = logging.getLogger(__name__)

FORMAT = "roundtrip-aside-1"
HEADER_BYTES_MOST = 4096
RECORD = struct.Struct("<cIqI")
"""kind, length of the name, expiry in ms since 1970 by Redis's clock (NO_EXPIRY: never), length of the payload"""
ITEM = struct.Struct("<I")
"""length of the item that follows"""
WHOLE = b"D"
NO_EXPIRY = -1
READ_BYTES = 1 << 20
LEFTOVER_AGE = timedelta(days=1)
"""A file that was being written for longer than that is of a process that was killed."""


@dataclass(frozen=True)
class Header:
    """What a copy says of itself."""

    release: str
    environment: str
    at: str
    """when it was made, ISO 8601, UTC"""
    kept_until: str
    """ISO 8601, UTC"""
    format: str = FORMAT


@dataclass(frozen=True)
class Record:
    """One key, or a part of it."""

    kind: bytes
    """WHOLE, or the first letter of the type that this is a part of"""
    name: bytes
    expires_ms: int
    """since 1970; NO_EXPIRY: never"""
    payload: bytes

    def pack(self) -> bytes:
        head = RECORD.pack(self.kind, len(self.name), self.expires_ms, len(self.payload))
        return head + self.name + self.payload

    def items(self) -> list[bytes]:
        """Of a part: fields and values of a hash in turn, members and scores of a sorted set, else the members."""
        found, at = [], 0
        while at < len(self.payload):
            (length,) = ITEM.unpack_from(self.payload, at)
            at += ITEM.size + length
            found.append(self.payload[at - length : at])
        return found


def pack_items(items: Iterable[bytes]) -> bytes:
    """The payload of a part."""
    return b"".join(ITEM.pack(len(item)) + item for item in items)


def path_of(folder: Path, environment: str, token: int) -> Path:
    """Where the holder of `token` keeps its copy; `folder` is the release's."""
    return folder / "aside" / f"{environment}-{token:09d}.keys"


def write_header(file: BinaryIO, header: Header) -> None:
    file.write(json.dumps(asdict(header), sort_keys=True).encode() + b"\n")


def read_header(path: Path) -> Header:
    """Raises RollbackError when this is no copy that this version can read."""
    try:
        with path.open("rb") as file:
            return _header(file)
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path, f"has no header that can be read: {error}") from error


def verify(path: Path, digest: str) -> None:
    """Returns when `path` is what the ledger says it is. Raises RollbackError."""
    try:
        got = file_digest(path)
    except FileNotFoundError as error:
        raise RollbackError(
            "the copy is not there any more",
            where=str(path),
            remedy="restore the file from a backup of the state folder; without it these keys are lost",
        ) from error
    if got != digest:
        raise _damaged(path, f"expected {digest}, got {got}")


def records(path: Path) -> Iterator[Record]:
    """Every record in order. Raises RollbackError when the file ends in the middle of one."""
    with path.open("rb", buffering=READ_BYTES) as file:
        _header(file)
        while head := file.read(RECORD.size):
            if len(head) < RECORD.size:
                raise _damaged(path, "ends in the middle of a record")
            kind, name_length, expires_ms, payload_length = RECORD.unpack(head)
            body = file.read(name_length + payload_length)
            if len(body) < name_length + payload_length:
                raise _damaged(path, "ends in the middle of a record")
            yield Record(kind, body[:name_length], expires_ms, body[name_length:])


def names(path: Path) -> Iterator[bytes]:
    """Names of the keys in it, in order, each once for all its parts. Raises RollbackError as `records` does."""
    last: bytes | None = None
    with path.open("rb", buffering=READ_BYTES) as file:
        _header(file)
        left = b""
        while block := file.read(READ_BYTES):
            found, left = _names_in(left + block)
            for name in found:
                if name != last:
                    yield name
                last = name
    if left:
        raise _damaged(path, "ends in the middle of a record")


def _names_in(block: bytes) -> tuple[list[bytes], bytes]:
    """Names of the whole records in `block`, and what follows them. A million names pass here: no object for each."""
    found, at, size, unpack, end = [], 0, RECORD.size, RECORD.unpack_from, len(block)
    while at + size <= end:
        _, name_length, _, payload_length = unpack(block, at)
        name_end = at + size + name_length
        if name_end + payload_length > end:
            break
        found.append(block[at + size : name_end])
        at = name_end + payload_length
    return found, block[at:]


def remove_expired(home: Home, now: datetime) -> list[Header]:
    """Remove every copy that is kept no longer, and what killed processes left; the headers of the copies."""
    removed: list[Header] = []
    for path in sorted(home.root.glob("releases/*/aside/*.keys")):
        try:
            header = read_header(path)
        except RollbackError as error:
            log.error("%s", error)  # for a person to judge; a release does not fail on an old file
            continue
        if datetime.fromisoformat(header.kept_until) <= now:
            path.unlink(missing_ok=True)
            durable.sync(path.parent)
            log.info("%s: removed, it was kept until %s", path, header.kept_until)
            removed.append(header)
    for path in home.root.glob("releases/*/aside/.*.keys.*"):
        with suppress(FileNotFoundError):  # whoever wrote it has just finished
            if now.timestamp() - path.stat().st_mtime > LEFTOVER_AGE.total_seconds():
                path.unlink()
    return removed


def _header(file: BinaryIO) -> Header:
    data = json.loads(file.readline(HEADER_BYTES_MOST))
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"expected the format {FORMAT}")
    return Header(**data)


def _damaged(path: Path, why: str) -> RollbackError:
    return RollbackError(
        f"the copy is damaged: {why}",
        where=str(path),
        remedy="nothing of it is put back; restore the file from a backup of the state folder",
    )
