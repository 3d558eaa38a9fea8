"""`python -m roundtrip.notifying.courier`: sends one message over channels by Apprise; a process, so that it can be ended.

Rules:
1. The addresses come by standard input and go nowhere but to Apprise. Its own log is not kept: it shows addresses.
   What is said of a failure is said here, in our words, and of the answer only its number.
2. All channels at once; after `seconds` it ends, whatever any of them is doing.
In: `{seconds, subject, body, kind, addresses: {channel: url}}`. Out: `{channel: None or why it was not accepted}`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import apprise

ANSWERED = re.compile(r"\berror=(\d{3})\b")
"""How Apprise's plugins log the number that a service answered with."""


def carry(order: dict[str, Any]) -> dict[str, str | None]:
    """Send what `order` says; by channel None, or why it was not accepted."""
    _keep_no_log()
    addresses: dict[str, str] = order["addresses"]
    opened = {channel: _opened(url) for channel, url in addresses.items()}
    usable = {channel: there for channel, there in opened.items() if there is not None}
    threads = ThreadPoolExecutor(max(1, len(usable)))
    sent = {name: threads.submit(_send, there, order) for name, there in usable.items()}
    wait(sent.values(), timeout=order["seconds"])
    return {
        channel: _became(sent[channel], order["seconds"])
        if channel in sent
        else "no address that Apprise knows"
        for channel in addresses
    }


def _keep_no_log() -> None:
    log = logging.getLogger("apprise")
    log.handlers, log.propagate = [logging.NullHandler()], False
    log.setLevel(logging.WARNING)


def _opened(url: str) -> apprise.Apprise | None:
    import apprise

    there = apprise.Apprise(
        asset=apprise.AppriseAsset(
            app_id="Roundtrip",
            app_desc="Roundtrip",
            async_mode=False,
            secure_logging=True,
            storage_mode=apprise.PersistentStoreMode.MEMORY,
        )
    )
    return there if there.add(url) else None


def _send(there: apprise.Apprise, order: dict[str, Any]) -> str | None:
    result = there.notify(
        body=order["body"], title=order["subject"], notify_type=order["kind"], body_format="text"
    )
    if result:
        return None
    answers = [number[1] for entry in result.logs() if (number := ANSWERED.search(entry.message))]
    return f"was answered with {answers[-1]}" if answers else "could not be reached, or refused"


def _became(sent: Future[str | None], seconds: float) -> str | None:
    if not sent.done():
        return f"no answer within {seconds:g} s"
    failure = sent.exception()
    # Of somebody else's error only the kind: its message may show the address.
    return f"Apprise raised {type(failure).__name__}" if failure else sent.result()


if __name__ == "__main__":
    out, sys.stdout = sys.stdout, sys.stderr  # what a plugin prints is no answer of ours
    json.dump(carry(json.load(sys.stdin)), out)
    out.flush()
    # Threads that still wait for an answer would hold an ordinary exit.
    os._exit(0)
