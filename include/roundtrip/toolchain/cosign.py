"""The cosign program: what it keeps beside an image in the registry, in its own format, and whether it believes that.

Rules:
1. No private key is given to it. What is signed, is signed by `sign`; cosign says what to sign, lays it down and reads it.
2. Nothing is looked for in a public log, and nothing is put there.
3. What it does not believe is refused; a registry that it cannot ask is another error, and neither is taken for the other.
It reaches the registry as the Docker Engine's client does: with the credentials of `docker login`, TLS but on loopback.

Format: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
"""

from __future__ import annotations

import base64
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundtrip.errors import ArtefactError, BuildError, HostError, TargetError
from roundtrip.toolchain.commands import Done, environment, run

log = logging.getLogger(__name__)

PROGRAM = "cosign"
LIMIT_SECONDS = 60.0
FAILURES = range(1, 256)
NOT_ASKED = re.compile(r'\b(?:get|head|put|post|patch) "?https?://', re.IGNORECASE)
"""A request that failed. Its exit code tells it apart for `verify` (10 and 12 are signatures that are missing or do not fit), and for
`verify-attestation`, which ends with 1 for every reason, does not."""
NO_ANSWER = "see whether its registry answers"
REMEDY = "sign and publish the release again; it is not deployed"


@dataclass(frozen=True)
class Cosign:
    """One program of that name."""

    program: Path

    def payload(self, image: str) -> bytes:
        """What a signature of this image (`<repository>@sha256:…`) is over. Raises TargetError."""
        return self._asked(["generate", image], image).output.encode()

    def attach_signature(self, image: str, payload: bytes, signature: str) -> None:
        """Lay it beside the image. Raises TargetError."""
        with tempfile.TemporaryDirectory(prefix="roundtrip-cosign-") as scratch:
            files = {"--payload": payload.decode(), "--signature": signature}
            arguments = [part for flag, text in files.items() for part in (flag, _file(scratch, flag, text))]
            self._asked(["attach", "signature", *arguments, image], image)

    def attach_attestation(self, image: str, envelope: Path) -> None:
        """Lay the statement in this DSSE envelope beside the image. Raises TargetError."""
        self._asked(["attach", "attestation", "--attestation", str(envelope), image], image)

    def require_signed(self, image: str, key: str) -> None:
        """Whether somebody with this key, a public one in PEM, has signed the image.

        Raises ArtefactError when no signature of this image is by it, TargetError when that cannot be known.
        """
        with _key_file(key) as file:
            self._asked(["verify", *_by(file), image], image)

    def statements(self, image: str, predicate_type: str, key: str) -> list[Mapping[str, Any]]:
        """The statements of this type about this image by this key, at least one.

        Raises ArtefactError when there is none, TargetError when that cannot be known.
        """
        with _key_file(key) as file:
            done = self._asked(["verify-attestation", *_by(file), "--type", predicate_type, image], image)
        envelopes = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
        return [json.loads(base64.b64decode(envelope["payload"])) for envelope in envelopes]

    def _asked(self, arguments: list[str], image: str) -> Done:
        command = [str(self.program), *arguments]
        try:
            done = run(
                command,
                Path.cwd(),
                environment([]),
                log.debug,
                timeout_seconds=LIMIT_SECONDS,
                accepted=(0, *FAILURES),
            )
        except BuildError as error:
            raise TargetError(error.what, where=image, remedy=NO_ANSWER) from error
        if done.code == 0:
            return done
        said = next((line for line in done.output.splitlines() if line.startswith("Error: ")), done.output)
        reason = said.removeprefix("Error: ").strip().rstrip(":")
        if NOT_ASKED.search(reason):
            raise TargetError(f"{PROGRAM}: {reason}", where=image, remedy=NO_ANSWER)
        raise ArtefactError(f"{PROGRAM}: {reason}", where=image, remedy=REMEDY)


def found() -> Cosign | None:
    """The one on this machine's PATH; None: there is none."""
    program = shutil.which(PROGRAM)
    return Cosign(Path(program)) if program else None


def required() -> Cosign:
    """The same. Raises HostError."""
    if (cosign := found()) is None:
        raise HostError(
            f"{PROGRAM} is not on PATH, and sign.demands.images of the plan asks for what only it can show",
            where="sign.demands.images",
            remedy="install it (a package of Debian 13), or demand nothing of images: their digests are signed in images.json",
        )
    return cosign


def _by(key: Path) -> list[str]:
    return ["--key", str(key), "--private-infrastructure", "--output", "json"]


@contextmanager
def _key_file(key: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="roundtrip-cosign-") as scratch:
        yield Path(_file(scratch, "cosign.pub", key))


def _file(folder: str, name: str, text: str) -> str:
    file = Path(folder) / name.strip("-")
    file.write_text(text, encoding="utf-8")
    return str(file)
