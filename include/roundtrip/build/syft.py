"""Runs syft, which is kept from asking for news of itself and from leaving anything on this machine."""

from __future__ import annotations

import json
import logging
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roundtrip.toolchain.commands import run

log = logging.getLogger(__name__)

LIMIT_SECONDS = 300.0


def syft(arguments: Sequence[str], form: str) -> Any:
    """The document that it makes, in the format that it calls `form`. Raises BuildError, HostError."""
    program = Path(sysconfig.get_path("scripts")) / "syft"
    with tempfile.TemporaryDirectory(prefix="roundtrip-syft-") as scratch:
        made = Path(scratch) / "made.json"
        env = {
            "HOME": scratch,
            "XDG_CACHE_HOME": scratch,
            "SYFT_CHECK_FOR_APP_UPDATE": "false",
            "PATH": "/usr/bin:/bin",
        }
        command = [str(program), *arguments, "--output", f"{form}={made}", "--quiet"]
        run(command, Path(scratch), env, log.debug, timeout_seconds=LIMIT_SECONDS)
        return json.loads(made.read_text(encoding="utf-8"))
