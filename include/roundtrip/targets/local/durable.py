"""Files that are whole or not there, also after a power cut.

Written beside, synced, renamed, and the folder synced: a rename alone may leave an empty file behind.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from roundtrip.errors import TargetError


def write(path: Path, text: str, *, beside: Path | None = None) -> None:
    """Have `path` hold `text`, readable by its owner only. `beside`: another folder of the same disk to write in."""
    folder = beside or path.parent
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_json(path: Path, data: object) -> None:
    """`write` of `data` as JSON, the same text for the same data."""
    write(path, json.dumps(data, sort_keys=True, indent=1) + "\n")


def read_json(path: Path) -> dict[str, object] | None:
    """The JSON object in `path`; None when there is no file. Raises TargetError when it holds something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise TargetError(
            f"is not JSON: {error}", where=str(path), remedy="remove the file and converge again"
        ) from error
    if not isinstance(data, dict):
        raise TargetError(
            f"expected a JSON object, got {type(data).__name__}",
            where=str(path),
            remedy="remove the file and converge again",
        )
    return data


def sync(folder: Path) -> None:
    """Have what was renamed or removed in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
