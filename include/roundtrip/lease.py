"""The lease: a release that stands in an environment shows that somebody still looks after it.

Rules:
1. It is held from before the new version is first placed until that is promoted, or has no traffic any more.
2. To renew it is to change its mark. Nobody compares a time that another process, or another start, has written: a clock
   that is stepped renews nothing and lets nothing lapse.
3. It says all that is needed to bring traffic back without Airflow, and without the ledger; no secret but the ledger's URL,
   which may hold one, so only its owner reads it.
4. A later release of the same environment takes its place; the one before cannot renew that.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.errors import TargetError

HELD = "held.json"
RENEWED = "renewed.json"
TAKEN_BACK = "taken-back.json"
"""what was done about a lease that lapsed, until the ledger has it"""
REMEDY = "look what wrote there; without it the watchdog cannot bring traffic back by itself"


@dataclass(frozen=True)
class Lease:
    """What is held, by which release."""

    release: str
    ledger: str
    """URL"""
    seconds: float
    """how long after a renewal nobody has to worry"""
    version: str
    """the new one, from which traffic is taken when it lapses"""
    plan: Mapping[str, Any]
    environment: Mapping[str, Any]
    placed: Mapping[str, Any]
    """the deployment that the release last reached, as plain JSON"""


@dataclass(frozen=True)
class Renewal:
    """The last sign of life."""

    mark: str
    """another one with each renewal"""
    holder: str
    """which step or gate gave it"""


def folder_of(environment: Path) -> Path:
    """Where the lease lies in an environment's folder."""
    return environment / "lease"


def hold(environment: Path, lease: Lease, holder: str) -> None:
    """Hold the lease, renewed; one that is there is replaced."""
    folder = folder_of(environment)
    durable.write_json(folder / HELD, asdict(lease))
    _mark(folder, lease.release, holder)


def renew(environment: Path, release: str, holder: str) -> bool:
    """Whether the release holds the lease, which is renewed then. Raises TargetError when it cannot be read."""
    lease = read(environment)
    if lease is None or lease.release != release:
        return False
    _mark(folder_of(environment), release, holder)
    return True


def end(environment: Path, release: str) -> None:
    """End the lease if it is this release's, or nobody can tell whose; may be repeated."""
    try:
        lease = read(environment)
    except TargetError:
        lease = None
    if lease is None or lease.release == release:
        (folder_of(environment) / HELD).unlink(missing_ok=True)


def read(environment: Path) -> Lease | None:
    """The lease that is held; None: none. Raises TargetError when the file holds none."""
    content = _content(folder_of(environment) / HELD)
    if content is None:
        return None
    try:
        return Lease(**content)
    except TypeError as error:
        raise TargetError(
            f"expected a lease: {error}", where=str(folder_of(environment) / HELD), remedy=REMEDY
        ) from error


def last_renewal(environment: Path, release: str) -> Renewal | None:
    """The release's last renewal; None: none that can be read, which counts as none."""
    try:
        content = _content(folder_of(environment) / RENEWED)
    except TargetError:
        return None
    if content is None or content.get("release") != release or not isinstance(content.get("mark"), str):
        return None
    return Renewal(content["mark"], str(content.get("holder")))


def taken_back(environment: Path) -> dict[str, Any] | None:
    """What was done about a lapsed lease and is not in the ledger yet; None: nothing. Raises TargetError."""
    return _content(folder_of(environment) / TAKEN_BACK)


def note_taken_back(environment: Path, lease: Lease, done: Mapping[str, Any]) -> None:
    """Keep what was done until the ledger has it; then the lease ends."""
    durable.write_json(folder_of(environment) / TAKEN_BACK, {"lease": asdict(lease), "done": dict(done)})
    end(environment, lease.release)


def forget_taken_back(environment: Path) -> None:
    """The ledger has it."""
    (folder_of(environment) / TAKEN_BACK).unlink(missing_ok=True)


def _mark(folder: Path, release: str, holder: str) -> None:
    durable.write_json(folder / RENEWED, {"release": release, "mark": uuid.uuid4().hex, "holder": holder})


def _content(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        what = f"cannot be read: {type(error).__name__}: {error}"
        raise TargetError(what, where=str(file), remedy=REMEDY) from error
    if not isinstance(content, dict):
        raise TargetError("expected an object", where=str(file), remedy=REMEDY)
    return content
