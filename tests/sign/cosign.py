"""The real cosign, for those who have it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

COSIGN = shutil.which("cosign")
WHY_NONE = None if COSIGN else "no cosign on PATH (a package of Debian 13)"
needs_cosign = pytest.mark.skipif(COSIGN is None, reason=str(WHY_NONE))


def cosign(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "COSIGN_PASSWORD": "pass phrase"}
    assert COSIGN is not None
    return subprocess.run(
        [COSIGN, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
