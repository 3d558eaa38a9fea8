"""Starts one process of a service: reads its variables from a private file and becomes the process.

So no variable is in supervisord's configuration or in an argument list.
Run as `python -m roundtrip.targets.local.launch FILE ARGUMENT…`; stands alone, imports nothing of Roundtrip.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

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
    "PYTHONPATH",
)


def main(arguments: list[str]) -> None:
    """Become `arguments[1:]` with the variables of `arguments[0]` added to the few that are kept."""
    variables: dict[str, str] = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    service_path = os.environ.get("SERVICE_PYTHONPATH")
    environment = {**kept, **variables, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    environment.pop("PYTHONPATH", None)
    if service_path:
        environment["PYTHONPATH"] = service_path
    os.execvpe(arguments[1], arguments[1:], environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
