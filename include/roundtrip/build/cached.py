"""The build cache: a bundle that was built from the same source by the same recipe is not built again.

Rules:
1. The key is all that a bundle depends on: the service's folder at the commit, what the plan says of its build, the
   toolchain, and the code that makes bundles.
2. A cached bundle is verified against its digest before it is used; one that does not fit is built again.
3. That a second build gave the same digest is remembered with it.
"""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from roundtrip import durable
from roundtrip.build.recipe import RECIPE, Recipe
from roundtrip.targets.bundles import BundleStore, file_digest
from roundtrip.toolchain.folders import digest_of
from roundtrip.toolchain.projects import Toolchain


@dataclass(frozen=True)
class Entry:
    """What is known of one key."""

    digest: str
    is_reproduced: bool


class BuildCache:
    """The cache of one state folder."""

    def __init__(self, folder: Path, store: BundleStore) -> None:
        self._folder = folder
        self._store = store

    def get(self, key: str) -> Entry | None:
        """The entry whose bundle is in the store, whole."""
        try:
            entry = Entry(**json.loads(self._file(key).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None  # a cache that cannot be read is an empty one
        bundle = self._store.path(entry.digest)
        return entry if bundle.exists() and file_digest(bundle) == entry.digest else None

    def put(self, key: str, entry: Entry) -> None:
        """Remember `entry`, whose bundle is in the store."""
        durable.write_json(self._file(key), vars(entry))

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def key_of(recipe: Recipe, tools: Toolchain) -> str:
    """The cache key of a recipe."""
    settings = recipe.settings
    tool = tools.node.version if settings.toolchain == "node" else f"{sys.version} {tools.poetry.parent.name}"
    of_plan = [
        json.dumps(settings.build),
        settings.bundle.model_dump_json(),
        json.dumps(asdict(recipe.manifest())),
    ]
    variables = {name: recipe.plan.variables[name].model_dump() for name in recipe.manifest().environment}
    source = [recipe.tree, str(recipe.changed_at)]
    return digest_of(RECIPE, *source, *of_plan, json.dumps(variables), tool, platform.machine())
