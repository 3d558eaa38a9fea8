"""The release on GitHub: made as a draft, given its assets, published; marked when it was taken back, never deleted.

Rules:
1. A release of ours is known by its marker, which names the release that made it. One without, or of a release that was
   not taken back, is never touched: publishing ends with an error.
2. It is a draft until every asset is there and right. Done again, it goes on where it was; a published one is compared only.
3. One that was taken back is marked: its title, a notice, a pre-release, not the latest. Whoever publishes it again
   afterwards is refused.
4. When its version is released again it makes way as its tag does: it keeps a tag, under `withdrawn/<release>/`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from roundtrip.errors import ForgeError
from roundtrip.forge.github import assets
from roundtrip.forge.github.answers import ReleaseThere
from roundtrip.forge.github.assets import Asset
from roundtrip.forge.github.client import GitHubClient
from roundtrip.forge.github.markers import marked, values_of, without_marker
from roundtrip.forge.github.tags import Tags, aside

log = logging.getLogger(__name__)

_RELEASE = "release"
_WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Wanted:
    """What is to be on GitHub."""

    release: str
    """id of the release; what the marker says"""
    tag: str
    tag_object: str
    title: str
    text: str
    """what the page of the release says, in Markdown"""
    assets: Sequence[Asset]


def publish(
    client: GitHubClient, tags: Tags, wanted: Wanted, is_taken_back: Callable[[str], bool]
) -> ReleaseThere:
    """Bring tag, release and assets to GitHub and publish them; the release as GitHub has it. Raises ForgeError.

    `is_taken_back` says whether another release, by its id, was taken back.
    """
    _make_way(client, tags, wanted, is_taken_back)
    tags.push(wanted.tag, wanted.tag_object)
    release = client.made(lambda: _own(client, wanted.release), lambda: _draft(client, wanted))
    _require_not_withdrawn(release)
    if not release.draft:
        assets.require(client, release, wanted.assets)
        return release
    uploaded = assets.bring(client, release, wanted.assets)
    published = _update(client, release, {"draft": False})
    log.info("published %s, %d assets uploaded now", published.html_url, uploaded)
    return published


def withdraw(client: GitHubClient, release: str, why: str) -> ReleaseThere | None:
    """Mark what `release` has on GitHub as withdrawn; None when it has nothing there. Raises ForgeError."""
    there = _own(client, release)
    if there is None or _is_withdrawn(there):
        return there
    log.info("%s is marked as withdrawn", there.html_url)
    return _update(client, there, _withdrawn(there, why))


def _withdrawn(release: ReleaseThere, why: str) -> dict[str, object]:
    """What makes `release` one that nobody takes for good; nothing when it is one already."""
    if _is_withdrawn(release):
        return {}
    text = release.body or ""
    notice = f"> [!CAUTION]\n> **Withdrawn: do not install this version.** {why}\n\n"
    return {
        "name": f"{release.name or release.tag_name} (withdrawn)",
        "body": marked(f"{notice}{without_marker(text)}", {**values_of(text), _WITHDRAWN: "true"}),
        "prerelease": True,
        "make_latest": "false",
    }


def _make_way(client: GitHubClient, tags: Tags, wanted: Wanted, is_taken_back: Callable[[str], bool]) -> None:
    """Set aside what a release that was taken back has under this tag. Raises ForgeError for anything else's."""
    tagged = tags.object_of(wanted.tag)
    for release in client.all(ReleaseThere, client.rest.repos.list_releases):
        owner = values_of(release.body).get(_RELEASE)
        if release.tag_name != wanted.tag or owner == wanted.release:
            continue
        if owner is None or not is_taken_back(owner):
            raise ForgeError(
                f"{wanted.tag} has a release there already, {f'of release {owner}' if owner else 'not made by Roundtrip'}",
                where=release.html_url,
                remedy="release another version, or remove that release by hand",
            )
        _set_aside(client, tags, release, aside(owner, wanted.tag), tagged or wanted.tag_object)
    if tagged is not None and tagged != wanted.tag_object:
        owner = tags.owner_of(wanted.tag, tagged)
        if owner is not None:
            tags.push(aside(owner, wanted.tag), tagged)
            tags.remove(wanted.tag, tagged)


def _set_aside(client: GitHubClient, tags: Tags, release: ReleaseThere, tag: str, tag_object: str) -> None:
    """Have `release` keep its tag by another name. The tag comes first: a release without one would be a draft again."""
    tags.push(tag, tag_object)
    data = {"tag_name": tag, **_withdrawn(release, "It was taken back, and released again.")}
    _update(client, release, data)
    log.info("%s makes way, as %s", release.html_url, tag)


def _own(client: GitHubClient, release: str) -> ReleaseThere | None:
    """What `release` made, whatever became of it; the oldest, should GitHub have let two be made."""
    listed = client.all(ReleaseThere, client.rest.repos.list_releases)
    ours = [one for one in listed if values_of(one.body).get(_RELEASE) == release]
    return min(ours, key=lambda one: one.id, default=None)


def _draft(client: GitHubClient, wanted: Wanted) -> ReleaseThere:
    data = {
        "tag_name": wanted.tag,
        "name": wanted.title,
        "body": marked(wanted.text, {_RELEASE: wanted.release}),
        "draft": True,
    }
    made = client.ask(ReleaseThere, client.rest.repos.create_release, data=data)
    # Two that run at the same moment on two machines go on with one of the drafts, the same.
    return _own(client, wanted.release) or made


def _update(client: GitHubClient, release: ReleaseThere, data: dict[str, object]) -> ReleaseThere:
    return client.ask(ReleaseThere, client.rest.repos.update_release, release.id, data=data)


def _is_withdrawn(release: ReleaseThere) -> bool:
    return _WITHDRAWN in values_of(release.body)


def _require_not_withdrawn(release: ReleaseThere) -> None:
    if _is_withdrawn(release):
        raise ForgeError(
            f"{release.tag_name} of this release was withdrawn on GitHub",
            where=release.html_url,
            remedy="this release is over: begin another",
        )
