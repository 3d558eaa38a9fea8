"""The backlog as issues on GitHub, in a milestone for the next version.

Rules:
1. An issue is known by its marker, the item's key: it is found wherever people have moved it, closed or not, and is never
   made twice nor changed.
2. Looked for is among issues touched since the release began: a key names its release, so none is older.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from roundtrip.forge.backlog import BacklogItem
from roundtrip.forge.github.answers import IssueThere, MilestoneThere
from roundtrip.forge.github.client import GitHubClient
from roundtrip.forge.github.markers import marked, values_of

LABEL = "roundtrip"
_ITEM = "item"
_TITLE_CHARACTERS = 250
_CLOCKS_APART = timedelta(days=1)


def add(
    client: GitHubClient, items: Sequence[BacklogItem], milestone: str, since: datetime
) -> dict[str, int]:
    """Numbers of the issues by the items' keys, made now or before. `since`: when the release began. Raises ForgeError."""
    numbers = _known(client, since)
    left = [item for item in items if item.key not in numbers]
    if left:
        number = _milestone(client, milestone)
        for item in left:
            numbers[item.key] = _issue(client, item, number, since)
    return {item.key: numbers[item.key] for item in items}


def next_version(before: str, now: str) -> str:
    """The version after `now`, a step as large as the one from `before`: 1.0.0, 1.1.0 -> 1.2.0."""
    old, new = ([int(part) for part in version.split(".")] for version in (before, now))
    step = next((place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(new) - 1)
    return ".".join(str(part + 1 if n == step else part if n < step else 0) for n, part in enumerate(new))


def _known(client: GitHubClient, since: datetime) -> dict[str, int]:
    # As text: githubkit would put a space where GitHub's format has a T.
    after = f"{since.astimezone(UTC) - _CLOCKS_APART:%Y-%m-%dT%H:%M:%SZ}"
    listed = client.all(IssueThere, client.rest.issues.list_for_repo, state="all", since=after)
    return {
        values_of(one.body)[_ITEM]: one.number
        for one in listed
        if _ITEM in values_of(one.body) and one.pull_request is None
    }


def _issue(client: GitHubClient, item: BacklogItem, milestone: int, since: datetime) -> int:
    def make() -> int:
        data = {
            "title": item.title[:_TITLE_CHARACTERS],
            "body": marked(item.body, {_ITEM: item.key}),
            "labels": [LABEL, *item.labels],
            "milestone": milestone,
        }
        return client.ask(IssueThere, client.rest.issues.create, data=data).number

    return client.made(lambda: _known(client, since).get(item.key), make)


def _milestone(client: GitHubClient, title: str) -> int:
    def look() -> int | None:
        listed = client.all(MilestoneThere, client.rest.issues.list_milestones, state="all")
        return next((one.number for one in listed if one.title == title), None)

    def make() -> int:
        return client.ask(MilestoneThere, client.rest.issues.create_milestone, data={"title": title}).number

    return client.made(look, make)
