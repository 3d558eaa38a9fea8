"""The process: `python -m roundtrip.watchdog FOLDER`, where FOLDER is an environment's.

It is started by what starts the environment, not by Airflow, and ends with it. Two of them take turns: the second one
waits for the first one's lock, and one whose supervisor is gone leaves its place.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from filelock import FileLock

from roundtrip.watchdog.watching import Watch

POLL_SECONDS = 0.25


def main(arguments: list[str]) -> None:
    """Watch until the process that started this one is gone."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout, force=True
    )
    folder, parent = Path(arguments[0]), os.getppid()
    with FileLock(folder / "watchdog.lock"):
        watch = Watch(folder)
        while os.getppid() == parent:
            watch.look(time.monotonic())
            time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
