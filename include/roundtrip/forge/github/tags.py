"""The release's tag, brought to GitHub by git with the commits behind it.

Rules:
1. A tag on GitHub is the object that was signed here, and is never moved. Another object under its name is an error,
   unless it is one that was withdrawn here: then it goes aside on GitHub as it did here, under `withdrawn/<release>/`.
2. The token goes to git by its environment, for that address alone: never as an argument, never into a file.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from roundtrip.errors import ForgeError
from roundtrip.forge.git import Git, refused
from roundtrip.plan.environment import GitHubRepository

ASIDE = "withdrawn"
"""Prefix of tags on GitHub whose release was taken back and whose version was released again."""


@dataclass(frozen=True)
class Tags:
    """The tags of a repository on GitHub, pushed from the bare repository that `git` is in."""

    git: Git
    address: str
    env: dict[str, str] = field(repr=False)

    def object_of(self, tag: str) -> str | None:
        """The object that `tag` is on GitHub, None when it is not there. Raises ForgeError."""
        listed = self._git("ls-remote", self.address, f"refs/tags/{tag}")
        return listed.split()[0] if listed else None

    def push(self, tag: str, tag_object: str) -> None:
        """Have `tag` be `tag_object` on GitHub. Raises ForgeError when it is something else there."""
        there = self.object_of(tag)
        if there == tag_object:
            return
        if there is not None:
            raise ForgeError(
                f"tag {tag}: expected {tag_object}, got {there}",
                where=self.address,
                remedy="a tag is never moved: find out who made it, or release another version",
            )
        self._git("push", "--quiet", self.address, f"{tag_object}:refs/tags/{tag}")

    def owner_of(self, tag: str, tag_object: str) -> str | None:
        """The release whose tag this was when it was withdrawn here; None when none was."""
        prefix = f"refs/{ASIDE}/"
        kept = self.git.text("for-each-ref", "--format=%(objectname) %(refname)", prefix).splitlines()
        names = [name for found, _, name in (line.partition(" ") for line in kept) if found == tag_object]
        ours = [name for name in names if name.endswith(f"/{tag}")]
        return ours[0].removeprefix(prefix).removesuffix(f"/{tag}") if ours else None

    def remove(self, tag: str, tag_object: str) -> None:
        """Take the name `tag` off GitHub, unless it is something else by now."""
        if self.object_of(tag) == tag_object:
            lease = f"--force-with-lease=refs/tags/{tag}:{tag_object}"
            self._git("push", "--quiet", lease, self.address, f":refs/tags/{tag}")

    def _git(self, *arguments: str) -> str:
        done = self.git.with_env(**self.env).attempt(*arguments)
        if done.returncode != 0:
            raise refused(
                self.git.folder,
                arguments,
                done,
                remedy="the token needs Contents: write, and may have to pass the rules for tags; docs/github.md",
            )
        return done.stdout.decode("utf-8", "replace").strip()


def aside(owner: str, tag: str) -> str:
    """What `tag` of the release `owner` is called on GitHub once its version is released again."""
    return f"{ASIDE}/{owner}/{tag}"


def open_tags(settings: GitHubRepository, git: Git, token: str) -> Tags:
    """The tags of the repository of an environment. Nothing is asked yet."""
    address = settings.git or _address(settings)
    if not address.startswith("https://"):
        return Tags(git, address, {})
    login = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    env = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{address}.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}",
    }
    return Tags(git, address, env)


def _address(settings: GitHubRepository) -> str:
    host = urlsplit(settings.api).netloc.removeprefix("api.")
    return f"https://{host}/{settings.repository}.git"
