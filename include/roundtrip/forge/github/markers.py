"""What Roundtrip knows its own things on GitHub by: a comment in the text that a reader does not see.

Rules:
1. A marker is found again whatever people write around it. A text without one is not ours.
2. Whatever a value holds, it does not end the comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_MARKER = re.compile(r"\s*<!-- roundtrip (\{.*?\}) -->\s*")


def marked(text: str, values: Mapping[str, str]) -> str:
    """`text` with the marker below it."""
    inside = json.dumps(values, sort_keys=True).replace("--", "-\\u002d")
    return f"{text.rstrip()}\n\n<!-- roundtrip {inside} -->\n"


def values_of(text: str | None) -> dict[str, str]:
    """The values of the marker in `text`; none when there is no marker, or one that cannot be read."""
    found = _MARKER.search(text or "")
    if found is None:
        return {}
    try:
        values = json.loads(found[1])
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in values.items()}


def without_marker(text: str) -> str:
    """`text` as people read it."""
    return _MARKER.sub("\n", text).strip()
