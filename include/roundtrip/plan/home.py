"""The state folder: where Roundtrip keeps what it keeps on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The state folder: everything that Roundtrip keeps on this machine is below `root`."""

    root: Path

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.root / 'ledger.db'}"

    @property
    def store(self) -> Path:
        """Content-addressed bundles."""
        return self.root / "store"

    @property
    def cache(self) -> Path:
        """Downloads and dependency folders by lockfile digest; may be deleted at any time."""
        return self.root / "cache"

    @property
    def repository(self) -> Path:
        """The bare remote of the platform under release."""
        return self.root / "platform" / "remote.git"

    @property
    def releases(self) -> Path:
        """What was published, beside the remote, laid out like GitHub releases."""
        return self.root / "platform" / "releases"

    def environment(self, name: str) -> Path:
        """The folder of one environment's target."""
        return self.root / "environments" / name

    def dossier(self, release_id: str) -> Path:
        """The page that is written when the release has ended."""
        return self.release(release_id) / "dossier.html"

    def release(self, release_id: str) -> Path:
        """Work trees, reports and the dossier of one release."""
        return self.root / "releases" / release_id
