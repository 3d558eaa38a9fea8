"""The engine builds a Dockerfile; what it has made leaves it as a file, without the traces of its build.

Rules:
1. A first build may use what the engine has kept of earlier ones. One that is `fresh` runs every line of the Dockerfile again,
   and what it leaves in the engine is removed: it is there to be compared.
2. An image that runs as root, or that nobody could call healthy, is refused here, before there is a file of it.
"""

from __future__ import annotations

import re
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roundtrip.build.images.canonical import canonical, read
from roundtrip.errors import BuildError, HostError, TargetError
from roundtrip.targets.compose.engine import asking, meaning
from roundtrip.targets.compose.overlay import require_health_check, section_of
from roundtrip.targets.protocol import Progress

if TYPE_CHECKING:
    from docker import DockerClient

BUILT = re.compile(r"Successfully built ([0-9a-f]{12,64})")
FROM = re.compile(r"Step \d+/\d+ : FROM ")
STANDS_ON = re.compile(r" ---> ([0-9a-f]{12})$")
"""as the engine tells of an image that a line of the Dockerfile has made; after FROM, of one that was there"""
CONFLICT = 409
"""the engine's answer for an image that something needs"""
ROOT = ("", "0", "root")
LAST_LINES = 5
LIMIT_SECONDS = 1800
"""for the engine to say something"""


@dataclass(frozen=True)
class ImageRecipe:
    """All that an image is made of."""

    service: str
    version: str
    context: Path
    dockerfile: str
    """from the context"""
    target: str | None
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    changed_at: int
    """seconds since 1970: no time in the image is later"""
    network: str | None = None
    """of the engine, for lines that fetch something; None: its own default"""

    @property
    def name(self) -> str:
        return f"the image of {self.service} {self.version}"

    @property
    def where(self) -> str:
        return str(self.context / self.dockerfile)


def build(client: DockerClient, of: ImageRecipe, to: Path, progress: Progress, *, fresh: bool = False) -> str:
    """Build it into the file `to`; the image's id. Raises BuildError, HostError, ArtefactError."""
    said = Said(of, progress)
    try:
        for line in _lines(client, of, fresh=fresh):
            said.take(line)
        with tempfile.NamedTemporaryFile(dir=to.parent, prefix="saved-") as saved:
            with asking(of.name):
                for chunk in client.api.get_image(said.identity()):
                    saved.write(chunk)
            saved.flush()
            _require_runnable(Path(saved.name), of.name)
            return canonical(Path(saved.name), to, epoch=of.changed_at)
    finally:
        if fresh:
            _remove(client, said.made)


class Said:
    """What the engine says while it builds."""

    def __init__(self, of: ImageRecipe, progress: Progress) -> None:
        self.made: list[str] = []
        """images of single lines of the Dockerfile, the oldest first"""
        self._of = of
        self._progress = progress
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._is_base = False
        self._built = ""

    def take(self, line: Mapping[str, Any]) -> None:
        """One of its messages. Raises BuildError, HostError for one that says what went wrong."""
        if error := line.get("error"):
            raise self._failed(str(error))
        text = str(line.get("stream", "")).rstrip()
        if text:
            self._progress(text)
            self._last.append(text)
        if FROM.match(text):
            self._is_base = True
        elif found := STANDS_ON.match(text):
            self.made += [] if self._is_base else [found.group(1)]
            self._is_base = False
        elif found := BUILT.match(text):
            self._built = found.group(1)

    def identity(self) -> str:
        """The id that the engine has given to what it has built. Raises BuildError."""
        if not self._built:
            raise self._failed("the engine has not said what it built")
        return self._built

    def _failed(self, said: str) -> BuildError | HostError:
        known = meaning(said, self._of.name)
        if isinstance(known, HostError):
            return known
        return BuildError(
            f"{said}; before that: {' | '.join(self._last) or 'nothing'}",
            where=self._of.where,
            remedy="mend the Dockerfile; a base that cannot be had is another one by a build argument",
        )


def _lines(client: DockerClient, of: ImageRecipe, *, fresh: bool) -> Iterator[dict[str, Any]]:
    try:
        with asking(of.name):
            yield from client.api.build(
                path=str(of.context),
                dockerfile=of.dockerfile,
                target=of.target or "",
                buildargs=dict(of.arguments),
                labels=dict(of.labels),
                network_mode=of.network,
                nocache=fresh,
                rm=True,
                forcerm=True,
                decode=True,
                timeout=LIMIT_SECONDS,
            )
    except TargetError as error:
        raise BuildError(error.what, where=of.where, remedy="mend the Dockerfile") from error


def _remove(client: DockerClient, images: Sequence[str]) -> None:
    """As far as nothing else needs them; the newest first, which stand on the others."""
    from docker.errors import APIError, ImageNotFound

    for identity in reversed(images):
        with asking(identity), suppress(ImageNotFound):
            try:
                client.api.remove_image(identity, noprune=True)
            except APIError as error:
                if error.status_code != CONFLICT:
                    raise


def _require_runnable(file: Path, name: str) -> None:
    config = read(file).config.get("config", {})
    user = str(config.get("User", "")).partition(":")[0]
    if user in ROOT:
        raise BuildError(
            "it runs as root",
            where=name,
            remedy="end its Dockerfile with USER and a number that is not 0",
        )
    require_health_check(config, section_of(config.get("Labels") or {}, name), name)
