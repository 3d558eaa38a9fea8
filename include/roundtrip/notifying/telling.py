"""Tells people: each message over each channel once, as far as the ledger knows.

Rules:
1. Nothing that a channel does raises an error or takes longer than `sending.LIMIT_SECONDS`. A failure is
   `notification.failed`, in words that hold no secret.
2. What was accepted is `notification.sent` under a key, and is not sent again. Whoever is killed between the two sends
   again: told twice is better than not at all.
3. It is called beside the way back or after it, never before one of its steps (decision 0005).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime

from roundtrip.notifying.channels import FILE, Channel, channels, unreached
from roundtrip.notifying.messages import Message, Moment
from roundtrip.notifying.sending import send
from roundtrip.release import Release

log = logging.getLogger(__name__)

KINDS = {
    Moment.STARTED: "info",
    Moment.WAITS: "warning",
    Moment.BREACH: "failure",
    Moment.ROLLBACK_BEGUN: "warning",
    Moment.RESTORED: "success",
    Moment.BROKEN: "failure",
    Moment.PROMOTED: "success",
    Moment.STOPPED: "warning",
    Moment.POST_MORTEM_DUE: "info",
    Moment.GITHUB_FAILED: "warning",
}
"""How a channel shows it, in Apprise's words: a colour, an icon."""


def notify(release: Release, message: Message) -> None:
    """Tell the people of the message's environments. Raises LedgerError, and nothing that a channel does."""
    _record_unreached(release, message)
    left = [
        channel
        for channel in channels(release, message.stages, message.moment.value)
        if release.ledger.last(release.id, "notification.sent", _key(message, channel.name)) is None
    ]
    for channel, error in _told(release, message, left).items():
        data = {"channel": channel, "moment": message.moment.value, "subject": message.subject}
        if error is None:
            release.ledger.append_once(release.id, "notification.sent", _key(message, channel), data)
            log.info("told by %s: %s", channel, message.subject)
        else:
            release.ledger.append(release.id, "notification.failed", {**data, "error": error})
            log.error("not told by %s: %s: %s", channel, message.subject, error)


def _told(release: Release, message: Message, left: Sequence[Channel]) -> dict[str, str | None]:
    """By channel None, or why it was not told. The file first: it is there when everything else hangs."""
    became: dict[str, str | None] = {c.name: c.error for c in left if c.error is not None}
    if any(channel.name == FILE for channel in left):
        became[FILE] = _write(release, message)
    addresses = {channel.name: channel.url for channel in left if channel.url is not None}
    sent = send(addresses, message.subject, message.body, KINDS[message.moment]) if addresses else {}
    return {**became, **sent}


def _write(release: Release, message: Message) -> str | None:
    line = json.dumps(
        {
            "at": datetime.now(UTC).isoformat(),
            "release": release.id,
            "moment": message.moment.value,
            "subject": message.subject,
            "body": message.body,
        }
    )
    path = release.home.root / "notifications.jsonl"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as failure:
        return str(failure)
    return None


def _record_unreached(release: Release, message: Message) -> None:
    for stage in message.stages:
        environment = release.environment(stage)
        for people in unreached(release, environment):
            data = {"channel": people, "error": f"{environment.name} has no channel to them"}
            key = f"people/{environment.name}/{people}"
            release.ledger.append_once(release.id, "notification.failed", key, data)


def _key(message: Message, channel: str) -> str:
    return "/".join(filter(None, (message.moment.value, message.about, channel)))
