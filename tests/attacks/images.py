"""Attacks on images: on the signed list of their digests, on what is said to be in them, and on what lies beside them in the
registry. The plan demands everything that a plan can demand of an image.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from roundtrip.build.archive import write_checksums
from roundtrip.sign.images import STATEMENTS, sign_image
from roundtrip.sign.keys import new_keys, signing_key
from roundtrip.sign.signing import sign_folder, signature_over
from roundtrip.targets.bundles import file_digest
from roundtrip.toolchain import cosign
from roundtrip.verification.published import IMAGE_SBOM, IMAGES, read_checksums
from roundtrip.verification.registry import predicates
from roundtrip.verification.statements import PROVENANCE, SBOM, SUMMARY
from tests.attacks.catalogue import DIGEST, SUMS, Attack, flip, remove, write
from tests.attacks.world import NEW, STABLE, World, make
from tests.attacks.world import Images as OfRegistry
from tests.containers import registry
from tests.sign.conftest import SERVICES
from tests.sign.cosign import WHY_NONE

WEB, WORKER = SERVICES
LIST = "list of images"
BESIDE = "beside the image"
LIMIT_SECONDS = 10
UNREADABLE = "cosign: .*"
Predicates = dict[str, Mapping[str, Any]]


def why_none() -> str | None:
    """Why these cannot be tried here; None if they can."""
    return WHY_NONE or registry.why_none()


@contextmanager
def good_images() -> Iterator[World]:
    """A good release into environments of images, whose registry is there for as long."""
    with tempfile.TemporaryDirectory() as folder, registry.registry(Path(folder)) as there:
        digests = {
            version: {
                service: there.push(service, f"{service} {version}".encode(), version) for service in SERVICES
            }
            for version in (STABLE, NEW)
        }
        yield make(Path(folder) / "world", images=OfRegistry(there, digests))


def attacks_on_images() -> list[Attack]:
    """All of them; their names are unique."""
    return [*_list(), *_contents(), *_signatures(), *_statements(), *_registry()]


# --- the list of digests ---------------------------------------------------------------------------------------------


def _list() -> Iterator[Attack]:
    for name in (IMAGES, f"{IMAGES}.sig"):
        for where in ("first", "middle", "last"):
            yield Attack(LIST, f"{name}, a flipped byte, {where}", partial(flip, name=name, where=where), ".")
        yield Attack(LIST, f"{name}, emptied", partial(write, name=name, content=b""), ".")
        yield Attack(LIST, f"{name}, missing", partial(remove, name=name), "is missing")
    yield Attack(LIST, "the images swapped", _swap, DIGEST)
    yield Attack(LIST, "the images swapped, trusted", _trusted(_swap), "published last")
    yield Attack(LIST, "the images swapped, trusted, ledger forged", _said(_trusted(_swap)), "web: expected")
    yield Attack(LIST, "the stable version's images, trusted", _said(_trusted(_stable_ones)), "web: expected")
    yield Attack(LIST, "the stable version's list", _stable_list, DIGEST)
    yield Attack(
        LIST, "the stable version's list, trusted", _said(_trusted(_stable_list)), "is of version 1.0.0"
    )
    yield Attack(
        LIST, "a tag for a digest, trusted", _said(_trusted(_tag)), "expected a sha256 digest, got 'latest'"
    )
    yield Attack(
        LIST, "another registry's name, trusted", _said(_trusted(_elsewhere)), "expected a sha256 digest"
    )
    yield Attack(LIST, "not named in the checksums, trusted", _said(_unlisted), "is not named in SHA256SUMS")
    yield Attack(LIST, "a flipped byte, late", partial(flip, name=IMAGES, where="middle"), DIGEST, "late")
    back = partial(flip, name=IMAGES, where="middle", version=STABLE)
    yield Attack(LIST, "way back: a flipped byte", back, DIGEST, "back")
    yield Attack(
        LIST, "way back: missing", partial(remove, name=IMAGES, version=STABLE), "is missing", "back"
    )


def _written(change: Callable[[World, dict[str, str]], dict[str, str]]) -> Callable[[World], None]:
    def act(world: World) -> None:
        file = world.assets() / IMAGES
        said = json.loads(file.read_text())
        file.write_text(json.dumps({**said, "images": change(world, said["images"])}))

    return act


def _digests(world: World, version: str = NEW) -> Mapping[str, str]:
    assert world.images is not None
    return world.images.digests[version]


_swap = _written(lambda _, said: {WEB: said[WORKER], WORKER: said[WEB]})
_stable_ones = _written(lambda world, _: dict(_digests(world, STABLE)))
_tag = _written(lambda _, said: {**said, WEB: "latest"})
_elsewhere = _written(lambda _, said: {**said, WEB: f"example.org/web@{said[WEB]}"})


def _stable_list(world: World) -> None:
    shutil.copy(world.assets(STABLE) / IMAGES, world.assets() / IMAGES)


def _trusted(act: Callable[[World], None]) -> Callable[[World], None]:
    """What whoever has the key makes of it."""

    def acted(world: World) -> None:
        act(world)
        write_checksums(world.assets(), list(read_checksums(world.assets() / SUMS)))
        sign_folder(world.assets(), _key(world))

    return acted


def _said(act: Callable[[World], None]) -> Callable[[World], None]:
    """And whoever can write to the ledger as well."""

    def acted(world: World) -> None:
        act(world)
        data = {"checksums": file_digest(world.assets() / SUMS)}
        world.release.ledger.append_once("somebody", "sign.published", f"v{NEW}", data)

    return acted


def _unlisted(world: World) -> None:
    names = [name for name in read_checksums(world.assets() / SUMS) if name != IMAGES]
    write_checksums(world.assets(), names)
    sign_folder(world.assets(), _key(world))


def _key(world: World) -> EllipticCurvePrivateKey:
    return signing_key(world.keys, "signing")


# --- what is said to be in an image ----------------------------------------------------------------------------------


def _contents() -> Iterator[Attack]:
    kind = "SBOM of an image"
    yield Attack(kind, "of another image", _swap_sboms, DIGEST)
    yield Attack(
        kind, "of another image, trusted", _said(_trusted(_swap_sboms)), "the statement of this release"
    )
    yield Attack(kind, "missing", partial(remove, name=IMAGE_SBOM.format(WEB, NEW)), "is missing")


def _swap_sboms(world: World) -> None:
    web, worker = (world.assets() / IMAGE_SBOM.format(service, NEW) for service in SERVICES)
    held = web.read_bytes(), worker.read_bytes()
    web.write_bytes(held[1])
    worker.write_bytes(held[0])


# --- signatures in the registry --------------------------------------------------------------------------------------


def _signatures() -> Iterator[Attack]:
    yield Attack(BESIDE, "unsigned", partial(_forget, kind="sig"), "cosign: no signatures found")
    yield Attack(BESIDE, "signed by another key", _sign_by_another, "cosign: no matching signatures")
    yield Attack(
        BESIDE, "another image's signature", partial(_lend, kind="sig"), "cosign: no matching signatures"
    )
    yield Attack(BESIDE, "the stable image's signature", _lend_from_stable, "cosign: no matching signatures")
    yield Attack(
        BESIDE, "a signature of a copy under its name", _sign_something, "cosign: no matching signatures"
    )
    yield Attack(BESIDE, "a signature that is none", _sign_with_nothing, UNREADABLE)
    yield Attack(
        BESIDE, "unsigned, late", partial(_forget, kind="sig"), "cosign: no signatures found", "late"
    )


def _name(world: World, service: str = WEB, version: str = NEW) -> str:
    assert world.images is not None
    return f"{world.images.registry.address}/{service}@{_digests(world, version)[service]}"


def _place(world: World, kind: str, service: str = WEB) -> str:
    """The tag under which cosign keeps what is beside an image."""
    return f"{_digests(world)[service].replace(':', '-')}.{kind}"


def _forget(world: World, kind: str) -> None:
    assert world.images is not None
    address, tag = world.images.registry.address, _place(world, kind)
    headers = {"Accept": registry.MANIFEST}
    found = requests.head(
        f"http://{address}/v2/{WEB}/manifests/{tag}", headers=headers, timeout=LIMIT_SECONDS
    )
    digest = found.headers["Docker-Content-Digest"]
    requests.delete(f"http://{address}/v2/{WEB}/manifests/{digest}", timeout=LIMIT_SECONDS).raise_for_status()


def _lend(world: World, kind: str) -> None:
    """What lies beside the worker's image, beside the web's."""
    assert world.images is not None
    there = world.images.registry
    lent = there.manifest(WORKER, _place(world, kind, WORKER))
    for part in (lent["config"], *lent["layers"]):
        there.push_blob(WEB, there.blob(part["digest"]).read_bytes())
    there.push_manifest(WEB, _place(world, kind), {"config": lent["config"], "layers": lent["layers"]})


def _sign_by_another(world: World) -> None:
    _forget(world, "sig")
    _sign(world, cosign.required().payload(_name(world)), signing_key(new_keys(), "signing"))


def _lend_from_stable(world: World) -> None:
    _forget(world, "sig")
    _sign(world, cosign.required().payload(_name(world, version=STABLE)), _key(world))


def _sign_something(world: World) -> None:
    """By the trusted key, over a claim about nothing that is there."""
    _forget(world, "sig")
    claim = json.loads(cosign.required().payload(_name(world)))
    claim["critical"]["image"]["docker-manifest-digest"] = f"sha256:{0:064x}"
    _sign(world, json.dumps(claim).encode(), _key(world))


def _sign_with_nothing(world: World) -> None:
    _forget(world, "sig")
    cosign.required().attach_signature(
        _name(world), cosign.required().payload(_name(world)), base64.b64encode(b"0").decode()
    )


def _sign(world: World, payload: bytes, key: EllipticCurvePrivateKey) -> None:
    signature = signature_over(hashlib.sha256(payload).digest(), key)
    cosign.required().attach_signature(_name(world), payload, signature)


# --- statements in the registry --------------------------------------------------------------------------------------


def _statements() -> Iterator[Attack]:
    other, missing = "the statement of this release", "cosign: .*attestations"
    yield Attack(BESIDE, "no statement", partial(_forget, kind="att"), missing)
    yield Attack(
        BESIDE, "another image's statements", partial(_lend, kind="att"), "cosign: no matching attestations"
    )
    yield Attack(BESIDE, "statements by another key", _say_by_another, missing)
    for kind in (PROVENANCE, SUMMARY, SBOM):
        yield Attack(BESIDE, f"no {kind}", partial(_say, without=kind), missing)
    yield Attack(
        BESIDE, "provenance of another commit, trusted", partial(_say, bend=_of_another_commit), other
    )
    yield Attack(BESIDE, "a staging that has failed, trusted", partial(_say, bend=_failed), other)
    yield Attack(BESIDE, "a staging of another plan, trusted", partial(_say, bend=_of_another_plan), other)
    yield Attack(BESIDE, "another image's SBOM, trusted", partial(_say, bend=_of_another_image), other)
    yield Attack(BESIDE, "no statement, late", partial(_forget, kind="att"), missing, "late")


def _said_of(world: World, service: str) -> Predicates:
    plan, key = world.release.plan, _key(world).public_key()
    return predicates(plan, world.assets(), service, key, STATEMENTS)


def _say(
    world: World,
    *,
    without: str = "",
    bend: Callable[[World, Predicates], None] = lambda *_: None,
    key: EllipticCurvePrivateKey | None = None,
) -> None:
    """Other statements about the image instead of those that are there."""
    _forget(world, "att")
    said = {kind: predicate for kind, predicate in _said_of(world, WEB).items() if kind != without}
    bend(world, said)
    repository, digest = _name(world).split("@")
    sign_image(cosign.required(), repository, digest, said, key or _key(world))


def _say_by_another(world: World) -> None:
    another = signing_key(new_keys(), "signing")
    _say(world, key=another)
    _forget(world, "sig")
    _sign(world, cosign.required().payload(_name(world)), _key(world))


def _of_another_commit(_: World, said: Predicates) -> None:
    text = json.dumps(said[PROVENANCE])
    commit = json.loads(text)["buildDefinition"]["resolvedDependencies"][0]["digest"]["gitCommit"]
    said[PROVENANCE] = json.loads(
        text.replace(commit, hashlib.sha1(b"another", usedforsecurity=False).hexdigest())
    )


def _failed(_: World, said: Predicates) -> None:
    said[SUMMARY] = {**said[SUMMARY], "verificationResult": "FAILED"}


def _of_another_plan(_: World, said: Predicates) -> None:
    said[SUMMARY] = {
        **said[SUMMARY],
        "policy": {"uri": "urn:roundtrip:plan:another", "digest": {"sha256": "0" * 64}},
    }


def _of_another_image(world: World, said: Predicates) -> None:
    said[SBOM] = _said_of(world, WORKER)[SBOM]


# --- the registry itself ---------------------------------------------------------------------------------------------


def _registry() -> Iterator[Attack]:
    yield Attack(BESIDE, "the signed claim overwritten", partial(_overwrite, kind="sig"), UNREADABLE)
    yield Attack(BESIDE, "a statement overwritten", partial(_overwrite, kind="att"), UNREADABLE)


def _overwrite(world: World, kind: str) -> None:
    """The registry's own file of what lies there is another one of the same length."""
    assert world.images is not None
    there = world.images.registry
    for layer in there.manifest(WEB, _place(world, kind))["layers"]:
        blob = there.blob(layer["digest"])
        blob.write_bytes(blob.read_bytes().replace(b'"', b"'"))
