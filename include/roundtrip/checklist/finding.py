"""What an item of the checklist found: findings, facts, and whether it could look at all.

Rules:
1. A finding says what, where and what to do. One with severity `stop` stops the release, a note does not.
2. An item that could not be checked says so with its reason; it has no findings, and that is not a pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from roundtrip.errors import RoundtripError

LONGEST_TEXT = 4000
"""Characters of one text of a finding; a build that fails may say any amount."""


class Severity(StrEnum):
    """Whether a finding stops the release."""

    STOP = "stop"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as the plan says."""

    what: str
    where: str
    remedy: str
    severity: Severity = Severity.STOP

    @classmethod
    def note(cls, what: str, where: str, remedy: str) -> Self:
        """A finding that a person should know of and that stops nothing."""
        return cls(what, where, remedy, Severity.NOTE)

    @classmethod
    def of(cls, error: RoundtripError) -> Self:
        """An error met while inspecting, as a finding that stops."""
        return cls(error.what, error.where, error.remedy)

    def to_json(self) -> dict[str, str]:
        """Plain values for the ledger."""
        return {
            "what": self.what[:LONGEST_TEXT],
            "where": self.where[:LONGEST_TEXT],
            "remedy": self.remedy[:LONGEST_TEXT],
            "severity": self.severity.value,
        }


@dataclass(frozen=True)
class Inspection:
    """The result of one item."""

    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """what was looked at and what it was, plain JSON, never a secret"""
    not_checked: str | None = None
    """why the item could not be checked; None when it was"""

    @property
    def stops(self) -> bool:
        """Whether something found here stops the release."""
        return any(finding.severity is Severity.STOP for finding in self.findings)
