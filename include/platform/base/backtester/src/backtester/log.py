"""Log lines: one JSON object each, on standard output. Secrets are never given to it."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from typing import Any

from backtester.identity import SERVICE, VERSION

_PASSWORD = re.compile(r"(\w+://)[^\s/@]*@")


def log(level: str, message: str, **fields: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"at": at, "level": level, "service": SERVICE, "version": VERSION, "message": message, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def described(error: BaseException) -> str:
    """What an error says about itself, without addresses that hold a password."""
    return _PASSWORD.sub(r"\1***@", f"{type(error).__name__}: {error}")
