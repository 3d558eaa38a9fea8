"""Plan 2.3, second half: no secret is in version control, in any content that any file ever had, or in any
message.

Rules:
1. The environments' own secrets are looked for as they are, everywhere, lockfiles and tests included.
2. detect-secrets looks for what has the form of a secret: keys and tokens of known services, private keys,
   passwords in addresses, in every file.
3. Names that are given a literal (`password = …`) are looked for outside tests, and random-looking strings
   only in configuration files: elsewhere they are mostly invented values, digests and bundled data.
4. Lockfiles (digests by the hundred) and placeholders (`change-me`, `<…>`, `example`) are left out of 2 and
   3.
5. A line that says `pragma: allowlist secret` was looked at by a person; detect-secrets leaves it out.
A finding names the file, line and kind, never the value.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

LARGEST_BYTES = 1_000_000
"""Larger files are not written by hand; only the environments' own secrets are looked for in them."""
SHORTEST_SECRET = 8
"""A shorter value would be found by chance."""

_FORMS = [
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "CloudantDetector",
    "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "IbmCloudIamDetector",
    "IbmCosHmacDetector", "JwtTokenDetector", "MailchimpDetector", "NpmDetector", "OpenAIDetector",
    "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector", "SlackDetector", "SoftlayerDetector",
    "SquareOAuthDetector", "StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector",
]  # fmt: skip
_NAMES = ["KeywordDetector"]
_RANDOM = ["Base64HighEntropyString", "HexHighEntropyString"]
_FILTERS = [
    "detect_secrets.filters.allowlist.is_line_allowlisted",
    "detect_secrets.filters.heuristic.is_sequential_string",
    "detect_secrets.filters.heuristic.is_potential_uuid",
    "detect_secrets.filters.heuristic.is_likely_id_string",
    "detect_secrets.filters.heuristic.is_templated_secret",
    "detect_secrets.filters.heuristic.is_prefixed_with_dollar_sign",
    "detect_secrets.filters.heuristic.is_indirect_reference",
    "detect_secrets.filters.heuristic.is_not_alphanumeric_string",
]
_LOCKFILES = {
    "package-lock.json",
    "npm-shrinkwrap.json",
    "poetry.lock",
    "uv.lock",
    "yarn.lock",
    ".terraform.lock.hcl",
}
_CONFIGURATION = {
    ".env",
    ".ini",
    ".cfg",
    ".conf",
    ".toml",
    ".yml",
    ".yaml",
    ".tf",
    ".tfvars",
    ".properties",
    ".sh",
}
_TESTS = re.compile(r"(^|/)(tests?|__tests__)/|\.(test|spec)\.[jt]sx?$")
_PLACEHOLDER = re.compile(
    r"(?i)change[-_ ]?me|replace[-_ ]?me|placeholder|example|your[-_ ]|dummy|^<.*>$|^x+$|^\*+$|^(secret|password|token)$"
)


@dataclass(frozen=True)
class Content:
    """One thing that was ever in version control."""

    where: str
    """path and the short id of the content, or the commit of a message"""
    path: str
    data: bytes


@dataclass(frozen=True)
class Suspect:
    """Something that looks like a secret."""

    where: str
    line: int
    kind: str


def scan(contents: Iterable[Content], own_secrets: Sequence[tuple[str, str]]) -> list[Suspect]:
    """All suspects. `own_secrets` are names and values of the environments' secrets."""
    found: list[Suspect] = []
    with tempfile.TemporaryDirectory(prefix="scan-") as folder:
        for number, content in enumerate(contents):
            found += _own(content, own_secrets)
            if len(content.data) <= LARGEST_BYTES and PurePosixPath(content.path).name not in _LOCKFILES:
                found += _formed(content, Path(folder) / str(number))
    return sorted(set(found), key=lambda suspect: (suspect.where, suspect.line, suspect.kind))


def _own(content: Content, own_secrets: Sequence[tuple[str, str]]) -> Iterator[Suspect]:
    for name, value in own_secrets:
        at = content.data.find(value.encode()) if len(value) >= SHORTEST_SECRET else -1
        if at >= 0:
            yield Suspect(content.where, content.data.count(b"\n", 0, at) + 1, f"the value of {name}")


def _formed(content: Content, folder: Path) -> Iterator[Suspect]:
    # Detectors go by a file's name, so each content is written under its own.
    file = folder / PurePosixPath(content.path).name
    folder.mkdir()
    file.write_bytes(content.data)
    settings = {
        "plugins_used": [{"name": name} for name in _detectors(content.path)],
        "filters_used": [{"path": path} for path in _FILTERS],
    }
    with transient_settings(settings):
        for secret in scan_file(str(file)):
            if not _PLACEHOLDER.search(secret.secret_value or ""):
                yield Suspect(content.where, secret.line_number, secret.type)
    file.unlink()


def _detectors(path: str) -> list[str]:
    if _TESTS.search(path):
        return _FORMS
    name = PurePosixPath(path).name
    is_configuration = PurePosixPath(path).suffix in _CONFIGURATION or name.startswith((".env", "Dockerfile"))
    return [*_FORMS, *_NAMES, *(_RANDOM if is_configuration else [])]
