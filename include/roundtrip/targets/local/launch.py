"""Starts one process of a service: reads its variables from a private file and becomes the process.

So no variable is in supervisord's configuration or in an argument list. Addresses of the environment itself are filled
in here, at each start, so that a port that had to change after a power cut changes no configuration.
Run as `python -m roundtrip.targets.local.launch VARIABLES PLACES ARGUMENT…`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from roundtrip.targets.filling import variables

KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "HOST",
    "PORT",
    "FLAGS_FILE",
    "SUPERVISOR_SERVER_URL",  # says whose it is when its supervisord was killed
)


def main(arguments: list[str]) -> None:
    """Become `arguments[2:]` with the variables of `arguments[0]` added to the few that are kept."""
    kept_values: dict[str, dict[str, str]] = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    places: dict[str, str] = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment = {
        **kept,
        **variables(kept_values, places),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if service_path := os.environ.get("SERVICE_PYTHONPATH"):
        environment["PYTHONPATH"] = service_path
    os.execvpe(arguments[2], arguments[2:], environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
