"""Protects branches and release tags of a bare repository from direct pushes, and proves it by trying.

Rules:
1. The remote itself refuses: a hook that git runs before a protected ref moves, whoever pushes.
2. A push is let through when it carries the release identity: a file, named by an environment variable, whose
   content the repository knows only the digest of. The identity is never an argument of a command.
3. Whatever the hook cannot read refuses the push.
4. That a branch is protected is believed only after a real push to it was refused.

This keeps people and programs from pushing past the release; someone who may write the repository's own files
can undo it, as an administrator of a hosted forge can.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from filelock import FileLock

from roundtrip import durable
from roundtrip.forge.git import Git

IDENTITY_VARIABLE = "ROUNDTRIP_IDENTITY_FILE"
REFUSAL = "is protected: changes reach it by a release"
_LOCK_SECONDS = 30.0

_HOOK = f"""#!/bin/sh
# Refuses to move a protected ref unless the push carries the release identity.
ref=$1
set -f  # a pattern is for refs, not for files that happen to fit it
for pattern in $(git config --get-all roundtrip.protected); do
  case "$ref" in
    $pattern)
      expected=$(git config --get roundtrip.identity)
      presented=$(git hash-object --stdin <"${{{IDENTITY_VARIABLE}:-/dev/null}}")
      if [ -n "$expected" ] && [ "$presented" = "$expected" ]; then exit 0; fi
      echo "$ref {REFUSAL}" >&2
      exit 1 ;;
  esac
done
exit 0
"""


def protect(remote: Path, identity: Path, *refs: str) -> None:
    """Refuse direct pushes to `refs` of the bare repository `remote`; full names, `*` stands for anything."""
    git = Git(remote)
    with FileLock(remote / "roundtrip-protection.lock", timeout=_LOCK_SECONDS):
        _make_identity(identity)
        git.text(
            "config", "roundtrip.identity", git.text("hash-object", "--stdin", stdin=identity.read_bytes())
        )
        known = git.attempt("config", "--get-all", "roundtrip.protected").stdout.decode().split()
        for ref in refs:
            if ref not in known:
                git.text("config", "--add", "roundtrip.protected", ref)
        _install_hook(remote / "hooks" / "update")
        # A global core.hooksPath of whoever pushes would otherwise switch the hook off.
        git.text("config", "core.hooksPath", str((remote / "hooks").resolve()))


def _make_identity(identity: Path) -> None:
    if identity.is_file():
        return
    durable.write(identity, secrets.token_hex(32))


def _install_hook(hook: Path) -> None:
    if hook.is_file() and hook.read_text() == _HOOK and os.access(hook, os.X_OK):
        return
    hook.parent.mkdir(exist_ok=True)
    part = hook.with_name("update.part")
    part.write_text(_HOOK)
    part.chmod(0o755)
    part.rename(hook)
