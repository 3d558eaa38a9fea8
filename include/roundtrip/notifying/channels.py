"""The channels of an environment, with the addresses that its Airflow connections hold.

Rules:
1. A channel without `people` is everybody's. One with people is told when the plan's `rollback.notify` has one of them, or
   names nobody. One with `moments` is told of those only.
2. An address is an Apprise URL and holds tokens: it is fetched when it is used, and nothing here shows it.
3. What cannot be resolved is a channel that failed, with the reason; it is no error of the release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from roundtrip.errors import SecretError
from roundtrip.plan.environment import ConnectionChannel, Environment, NotifyChannel
from roundtrip.release import Release

FILE = "file"


@dataclass(frozen=True)
class Channel:
    """One way to people."""

    name: str
    """`file`, or `connection/name` as in the connection's extra; of a connection that cannot be used its id"""
    url: str | None = field(default=None, repr=False)
    """secret; None for the file"""
    error: str | None = None
    """why nobody can be told by it"""


def channels(release: Release, stages: Sequence[str], moment: str) -> list[Channel]:
    """Every channel of these environments that the plan's people read and that is told of `moment`, each once."""
    wanted = {entry for stage in stages for entry in _read(release, release.environment(stage), moment)}
    found = (channel for entry in wanted for channel in _resolved(release, entry))
    return sorted({channel.name: channel for channel in found}.values(), key=lambda channel: channel.name)


def unreached(release: Release, environment: Environment) -> list[str]:
    """People whom the plan names and no channel of this environment reaches."""
    people = [_people(entry) for entry in environment.notify]
    if not all(people):
        return []
    return sorted(set(release.plan.rollback.notify).difference(*people))


def _read(release: Release, environment: Environment, moment: str) -> Iterator[str]:
    """`file` and connection ids, of the channels that the plan's people read and that are told of `moment`."""
    named = set(release.plan.rollback.notify)
    for entry in environment.notify:
        if not isinstance(entry, ConnectionChannel):
            yield entry
        elif (not entry.people or not named or named & set(entry.people)) and (
            not entry.moments or moment in entry.moments
        ):
            yield entry.connection


def _people(entry: NotifyChannel) -> set[str]:
    """Who reads this channel; empty: everybody."""
    return set(entry.people) if isinstance(entry, ConnectionChannel) else set()


def _resolved(release: Release, entry: str) -> list[Channel]:
    if entry == FILE:
        return [Channel(FILE)]
    try:
        addresses = release.secrets(entry)
    except SecretError as error:
        return [Channel(entry, error=error.what)]
    if not addresses:
        return [Channel(entry, error="its extra holds no address")]
    return [Channel(f"{entry}/{_shown(name)}", url) for name, url in addresses.items()]


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]
