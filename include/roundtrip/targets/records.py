"""What a target has written down about itself, as JSON objects in files."""

from __future__ import annotations

import json
from pathlib import Path

from roundtrip.errors import TargetError


def read(path: Path) -> dict[str, object] | None:
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
