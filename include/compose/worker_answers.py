"""Exit 0 when this container's Celery worker answers. Without Airflow, which takes seconds to import."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from celery import Celery

LIMIT_SECONDS = 5


def main() -> int:
    """Ask this worker alone, by the broker."""
    broker = subprocess.run(
        ["sh", str(Path(__file__).with_name("broker-url"))], capture_output=True, text=True, check=True
    ).stdout
    app = Celery(broker=broker)
    answered = app.control.ping(
        destination=[f"celery@{socket.gethostname()}"], timeout=LIMIT_SECONDS, limit=1
    )
    return 0 if answered else 1


if __name__ == "__main__":
    sys.exit(main())
