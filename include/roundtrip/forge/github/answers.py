"""What is read of GitHub's answers: these fields and no others, checked where they come in."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base: whatever else GitHub says is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class ReleaseThere(Answer):
    """A release, draft or published."""

    id: int
    tag_name: str
    name: str | None = None
    body: str | None = None
    draft: bool
    html_url: str
    upload_url: str
    """with `{?name,label}` at its end"""


class AssetThere(Answer):
    """A file of a release."""

    id: int
    name: str
    size: int
    state: str
    """`uploaded`; `starter` of one whose upload broke off, which GitHub's description of the answer does not list"""
    digest: str | None = None
    """sha256:…; None of one uploaded before June 2025"""


class IssueThere(Answer):
    """An issue; GitHub lists pull requests among them."""

    number: int
    body: str | None = None
    pull_request: Any = None


class MilestoneThere(Answer):
    """A milestone, open or closed."""

    number: int
    title: str


class DeploymentThere(Answer):
    """A deployment."""

    id: int
    payload: Any = None


class StateThere(Answer):
    """A status of a deployment."""

    id: int
    state: str


class StatusThere(Answer):
    """A status of a commit."""

    id: int
    context: str
    state: str
    description: str | None = None


class RulesetThere(Answer):
    """A ruleset; a list of them gives the first fields only."""

    id: int
    name: str
    target: str | None = None
    enforcement: str | None = None
    conditions: dict[str, Any] | None = None
    rules: list[dict[str, Any]] | None = None
    bypass_actors: list[dict[str, Any]] | None = None
    """None: the token may not see them"""

    @property
    def includes(self) -> list[str]:
        return self._names("include")

    @property
    def excludes(self) -> list[str]:
        return self._names("exclude")

    @property
    def by_type(self) -> dict[str, dict[str, Any]]:
        """The rules by their type."""
        return {str(rule.get("type")): rule for rule in self.rules or []}

    def _names(self, which: str) -> list[str]:
        names = (self.conditions or {}).get("ref_name") or {}
        return list(names.get(which) or [])
