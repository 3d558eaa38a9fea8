"""What a story was at one moment, to go on from there: most stories differ only after something happens."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import redis

NEVER_CHANGED = (".gz", ".sig")
"""Files that are replaced, if ever, and so may be linked."""


@dataclass(frozen=True)
class Checkpoint:
    """Files, Redis, and the tasks that have had their turn."""

    folder: Path
    redis: Mapping[str, Mapping[bytes, bytes]]
    """by stage and name of the key, as DUMP gives it"""
    done: Mapping[str, str]

    def restore_redis(self, stage: str, url: str) -> None:
        with redis.Redis.from_url(url) as client:
            client.flushdb()
            for name, content in self.redis[stage].items():
                client.restore(name, 0, content)


def take(
    story_folder: Path, folder: Path, redis_urls: Mapping[str, str], done: Mapping[str, str]
) -> Checkpoint:
    """A checkpoint kept in `folder`."""
    lay(story_folder, folder)
    return Checkpoint(folder, {stage: _dumped(url) for stage, url in redis_urls.items()}, dict(done))


def lay(source: Path, folder: Path) -> None:
    """The files of `source` in `folder`."""
    shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=_link_or_copy)


def _dumped(url: str) -> dict[bytes, bytes]:
    with redis.Redis.from_url(url) as client:
        return {name: client.dump(name) for name in client.scan_iter()}


def _link_or_copy(source: str, target: str) -> None:
    if source.endswith(NEVER_CHANGED):
        os.link(source, target)
    else:
        shutil.copyfile(source, target)
