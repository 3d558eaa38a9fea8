"""Files that are whole or not there, also after a power cut. Only their owner reads them unless another mode is given.

Written beside, synced, renamed, and the folder synced: a rename alone may leave an empty file behind.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600


@contextmanager
def writing(path: Path, *, beside: Path | None = None, mode: int = PRIVATE) -> Iterator[BinaryIO]:
    """A file to write within; `path` holds what was written once that ends without an error, and nothing new before.

    Its folder is made. `beside`: another folder of the same disk to write in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=beside or path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).rename(path)
    finally:
        Path(name).unlink(missing_ok=True)
    sync(path.parent)


def write(path: Path, text: str, *, beside: Path | None = None, mode: int = PRIVATE) -> None:
    """Have `path` hold `text`; its folder is made. `beside`: another folder of the same disk to write in."""
    with writing(path, beside=beside, mode=mode) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, data: object, *, mode: int = PRIVATE) -> None:
    """`write` of `data` as JSON, the same text for the same data."""
    write(path, json.dumps(data, sort_keys=True, indent=1) + "\n", mode=mode)


def sync(path: Path) -> None:
    """Have what was renamed or removed in a folder, or written to a file, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
