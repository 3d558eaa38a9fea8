"""Has a process of its own send a message, and ends it when its time is over: Apprise waits as long as a service likes.

Rules:
1. `send` returns within LIMIT_SECONDS and leaves no process behind, whatever the other side does.
2. Addresses go to the process by a pipe, never as arguments or variables.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import roundtrip

SEND_SECONDS = 5.0
"""What each channel has, all of them at once."""
LIMIT_SECONDS = SEND_SECONDS + 10.0
"""The same with the start of the process, on a machine that is busy being taken back."""


def send(
    addresses: Mapping[str, str],
    subject: str,
    body: str,
    kind: str,
    *,
    limit_seconds: float = LIMIT_SECONDS,
) -> dict[str, str | None]:
    """By channel None, or why the message was not accepted; the reason holds no secret.

    `addresses`: Apprise URLs by channel. `kind`: Apprise's info, success, warning or failure.
    """
    order = {
        "seconds": SEND_SECONDS,
        "subject": subject,
        "body": body,
        "kind": kind,
        "addresses": dict(addresses),
    }
    try:
        became: dict[str, str | None] = json.loads(_answer(json.dumps(order), limit_seconds))
    except subprocess.TimeoutExpired:
        return dict.fromkeys(addresses, f"the process that sends did not answer within {limit_seconds:g} s")
    except ValueError:
        return dict.fromkeys(addresses, "the process that sends ended without an answer")
    except OSError as failure:
        return dict.fromkeys(addresses, f"the process that sends could not be started: {failure.strerror}")
    return became


def _answer(order: str, limit_seconds: float) -> str:
    """What the process says. Raises TimeoutExpired when it had to be ended, OSError when it could not be started."""
    include = str(Path(roundtrip.__file__).parents[1])
    path = os.pathsep.join(filter(None, (include, os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [sys.executable, "-m", "roundtrip.notifying.courier"],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A traceback may show an address.
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(order, timeout=limit_seconds)[0]
        finally:
            # Also when the task itself is being ended.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
