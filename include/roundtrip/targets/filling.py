"""What `{name}` in a text stands for. Needs nothing of Roundtrip, so that a process that is being started loads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping

PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")


def filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with each `{name}` replaced, once, so that a value may hold braces of its own. Raises KeyError."""
    return PLACEHOLDER.sub(lambda match: values[match[1]], text)


def variables(kept: Mapping[str, Mapping[str, object]], places: Mapping[str, str]) -> dict[str, str]:
    """The variables of a kept configuration (`roundtrip.targets.configuration`), filled in. Raises KeyError."""
    return {name: filled(str(value["text"]), {**places, **_secrets(value)}) for name, value in kept.items()}


def _secrets(value: Mapping[str, object]) -> dict[str, str]:
    secrets = value["secrets"]
    return {str(name): str(secret) for name, secret in secrets.items()} if isinstance(secrets, dict) else {}
