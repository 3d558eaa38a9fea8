"""GitHub's published description of its REST interface, the part of it that Roundtrip uses.

It comes from the npm package that ships it, one version, checked by its hash; what is kept is cut to our routes, so that it
is read in a moment. Nothing in it is ours, but for one word: the text of *Upload a release asset* says that an upload that
breaks off may leave an asset in the state `starter`, and the schema of an asset does not list that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from roundtrip.toolchain.commands import environment, run
from roundtrip.toolchain.folders import digest_of, prepared
from roundtrip.toolchain.programs import node

PACKAGE = "@octokit/openapi@23.0.2"
SHA512 = "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="
"""as the registry states it"""
FILE = "package/generated/api.github.com.json"
NODE_MAJOR = 18
DOWNLOAD_SECONDS = 300.0

_REPOSITORY = "/repos/{owner}/{repo}"
ROUTES: Mapping[str, tuple[str, ...]] = {
    f"{_REPOSITORY}/releases": ("get", "post"),
    f"{_REPOSITORY}/releases/{{release_id}}": ("patch",),
    f"{_REPOSITORY}/releases/{{release_id}}/assets": ("get", "post"),
    f"{_REPOSITORY}/releases/assets/{{asset_id}}": ("delete",),
    f"{_REPOSITORY}/issues": ("get", "post"),
    f"{_REPOSITORY}/milestones": ("get", "post"),
    f"{_REPOSITORY}/deployments": ("get", "post"),
    f"{_REPOSITORY}/deployments/{{deployment_id}}/statuses": ("get", "post"),
    f"{_REPOSITORY}/statuses/{{sha}}": ("post",),
    f"{_REPOSITORY}/commits/{{ref}}/statuses": ("get",),
    f"{_REPOSITORY}/rulesets": ("get", "post"),
    f"{_REPOSITORY}/rulesets/{{ruleset_id}}": ("get", "put"),
}


def description(cache: Path) -> dict[str, Any]:
    """The description of our routes, fetched once into `cache`."""
    wanted = digest_of(PACKAGE, SHA512, json.dumps(ROUTES), Path(__file__).read_text())
    folder = prepared(cache / wanted, lambda folder: _fetch(cache, folder))
    read: dict[str, Any] = json.loads((folder / "routes.json").read_text(encoding="utf-8"))
    return read


def _fetch(cache: Path, folder: Path) -> None:
    npm = node(cache / "tools", NODE_MAJOR, print).folder
    env = environment([npm], {"npm_config_cache": str(cache / "npm-downloads")})
    run(["npm", "pack", PACKAGE], folder, env, print, timeout_seconds=DOWNLOAD_SECONDS)
    [archive] = folder.glob("*.tgz")
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert found == SHA512, f"{PACKAGE}: expected sha512 {SHA512}, got {found}"
    with tarfile.open(archive) as package:
        content = package.extractfile(FILE)
        assert content is not None, f"{PACKAGE} holds no {FILE}"
        whole = json.load(content)
    archive.unlink()
    (folder / "routes.json").write_text(json.dumps(cut(whole)), encoding="utf-8")


def cut(whole: dict[str, Any]) -> dict[str, Any]:
    """`whole` with our routes alone, and what they refer to."""
    paths = {
        path: {key: part for key, part in whole["paths"][path].items() if key in (*methods, "parameters")}
        for path, methods in ROUTES.items()
    }
    asset = whole["components"]["schemas"]["release-asset"]["properties"]["state"]
    asset["enum"] = [*asset["enum"], "starter"]
    kept: dict[str, dict[str, Any]] = {"schemas": {"basic-error": {}}}
    left = [*_references(paths), "#/components/schemas/basic-error"]
    while left:
        _, _, kind, name = left.pop().split("/")
        if name not in kept.setdefault(kind, {}) or not kept[kind][name]:
            kept[kind][name] = whole["components"][kind][name]
            left += _references(kept[kind][name])
    return {**{key: whole[key] for key in ("openapi", "info")}, "paths": paths, "components": kept}


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
