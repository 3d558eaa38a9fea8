"""The git repository of the platform under release: branches, protection, merges, tags, backlog.

Imports `plan` and `errors`, never a section. `open_forge` is how sections reach it.
"""

from __future__ import annotations

from roundtrip.forge.laying import lay_platform
from roundtrip.forge.repository import Forge, open_forge

__all__ = ["Forge", "lay_platform", "open_forge"]
