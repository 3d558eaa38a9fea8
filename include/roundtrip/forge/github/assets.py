"""The files of a GitHub release: uploaded, and each compared with what GitHub says that it has.

Rules:
1. A file that is there and right is left. One that is wrong, or was uploaded by half, is removed and uploaded again.
2. Right is: uploaded, of our size, and of our sha256; GitHub gives the digest of everything uploaded since June 2025.
3. All of them are listed once more at the end. What GitHub has and we do not is an error, and stays where it is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from roundtrip.errors import ForgeError
from roundtrip.forge.github.answers import AssetThere, ReleaseThere
from roundtrip.forge.github.client import GitHubClient

log = logging.getLogger(__name__)

_UPLOADED = "uploaded"


@dataclass(frozen=True)
class Asset:
    """One file as it has to be."""

    file: Path
    size_bytes: int
    digest: str

    @property
    def name(self) -> str:
        return self.file.name


def bring(client: GitHubClient, release: ReleaseThere, wanted: Sequence[Asset]) -> int:
    """Bring the assets of `release` to `wanted`; how many were uploaded. Raises ForgeError."""
    there = {one.name: one for one in _listed(client, release)}
    left = [asset for asset in wanted if not _is_right(there.get(asset.name), asset)]
    for asset in left:
        _bring_one(client, release, asset)
    require(client, release, wanted)
    return len(left)


def require(client: GitHubClient, release: ReleaseThere, wanted: Sequence[Asset]) -> None:
    """Raises ForgeError unless `release` has exactly the assets `wanted`, as GitHub tells them."""
    there = {one.name: one for one in _listed(client, release)}
    wrong = [
        f"{asset.name}: expected {asset.size_bytes} bytes, {asset.digest}, got {_told(there.get(asset.name))}"
        for asset in wanted
        if not _is_right(there.get(asset.name), asset)
    ]
    more = sorted(set(there) - {asset.name for asset in wanted})
    wrong += [f"{name}: not published by this release" for name in more]
    if wrong:
        raise ForgeError(
            "assets: " + "; ".join(wrong),
            where=release.html_url,
            remedy="remove what is not ours from the release, then run the task again",
        )


def _listed(client: GitHubClient, release: ReleaseThere) -> list[AssetThere]:
    return client.all(AssetThere, client.rest.repos.list_release_assets, release.id)


def _bring_one(client: GitHubClient, release: ReleaseThere, asset: Asset) -> None:
    client.made(lambda: _kept(client, release, asset), lambda: _upload(client, release, asset))
    log.info("uploaded %s", asset.name)


def _kept(client: GitHubClient, release: ReleaseThere, asset: Asset) -> AssetThere | None:
    """The asset as GitHub has it, None when there is none now: a wrong one is removed."""
    there = next((one for one in _listed(client, release) if one.name == asset.name), None)
    if there is None or _is_right(there, asset):
        return there
    log.warning("%s on GitHub is %s: uploaded again", asset.name, _told(there))
    client.tell(client.rest.repos.delete_release_asset, there.id)
    return None


def _upload(client: GitHubClient, release: ReleaseThere, asset: Asset) -> AssetThere:
    # githubkit's own call asks the interface's address; uploads have another, which the release names.
    address = f"{release.upload_url.partition('{')[0]}?{urlencode({'name': asset.name})}"
    headers = {"Content-Type": "application/octet-stream"}
    content = asset.file.read_bytes()
    return client.answer(
        AssetThere, lambda: client.github.request("POST", address, content=content, headers=headers)
    )


def _is_right(there: AssetThere | None, asset: Asset) -> bool:
    if there is None or there.state != _UPLOADED:
        return False
    return there.size == asset.size_bytes and there.digest in (asset.digest, None)


def _told(there: AssetThere | None) -> str:
    return "nothing" if there is None else f"{there.size} bytes, {there.digest}, {there.state}"
