"""The attacks: each bends one thing of a good release, and says by what it has to be found.

`forward`: before the new version is verified. `verify`: the same, and only that step has to find it. `late`: after production was verified, before the wave. `back`: after the wave,
before the way back. `build`: the build itself made it, so that it is signed and verified as any other, and the target has to
find it. Those that hold the trusted key (`trusted`) stand for a builder that is wrong or taken over.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from in_toto_attestation.v1.statement import STATEMENT_TYPE_URI
from securesystemslib.dsse import Envelope

from roundtrip.build.archive import write_checksums
from roundtrip.sign.attesting import Build, attest_build
from roundtrip.sign.keys import new_keys, signing_key
from roundtrip.sign.signing import sign_folder, signature_of
from roundtrip.targets.bundles import Manifest, file_digest, pack
from roundtrip.verification.attestations import PROVENANCE_FILE, STAGING_FILE, subjects
from roundtrip.verification.statements import PROVENANCE, SUMMARY
from tests.attacks.world import NEW, STABLE, World
from tests.sign.conftest import SERVICES, make_artefacts

Way = Literal["forward", "verify", "late", "build", "back"]
SUMS = "SHA256SUMS"
FILES = (*(f"{service}-{{}}.tar.gz" for service in SERVICES), "Tiny_Platform-{}.zip", "sbom.cdx.json", SUMS)
STATEMENTS = (PROVENANCE_FILE, STAGING_FILE)
KEY = "signature is not by the trusted key"
DIGEST = "expected sha256:.*got sha256:"
STATEMENT = f"{KEY}|no DSSE envelope|no in-toto statement|expected a payload"


@dataclass(frozen=True)
class Attack:
    """One bad artefact."""

    kind: str
    name: str
    act: Callable[[Any], None]
    """given the world; of `build`, the folder of the new version's artefacts before anything is made of them"""
    found_by: str
    """pattern of the reason"""
    way: Way = "forward"


def attacks() -> list[Attack]:
    """All of them; their names are unique."""
    groups = (
        _bytes,
        _keys,
        _digests,
        _checksums,
        _replays,
        _provenance,
        _staging,
        _envelopes,
        _store,
        _archives,
        _trust,
        _back,
    )
    return [attack for group in groups for attack in group()]


# --- every part of the release, byte by byte -------------------------------------------------------------------------


def _parts(version: str, statements: tuple[str, ...]) -> Iterator[str]:
    for name in (file.format(version) for file in FILES):
        yield name
        yield f"{name}.sig"
    yield from statements


def _bytes() -> Iterator[Attack]:
    for name in _parts(NEW, STATEMENTS):
        for where in ("first", "middle", "last"):
            yield Attack("flipped byte", f"{name}, {where}", partial(flip, name=name, where=where), ".")
        yield Attack("cut off", name, partial(cut, name=name), ".")
        yield Attack("emptied", name, partial(write, name=name, content=b""), ".")
        yield Attack("missing", name, partial(remove, name=name), "missing|cannot be read|not named")
        yield Attack("flipped byte", f"{name}, late", partial(flip, name=name, where="middle"), ".", "late")


def flip(world: World, name: str, where: str, version: str = NEW) -> None:
    file = world.assets(version) / name
    content = bytearray(file.read_bytes().rstrip(b"\n"))
    content[{"first": 0, "middle": len(content) // 2, "last": -1}[where]] ^= 1
    file.write_bytes(content)


def cut(world: World, name: str) -> None:
    file = world.assets() / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def write(world: World, name: str, content: bytes) -> None:
    (world.assets() / name).write_bytes(content)


def remove(world: World, name: str, version: str = NEW) -> None:
    (world.assets(version) / name).unlink()


# --- another key, no key, another's signature ------------------------------------------------------------------------


def _keys() -> Iterator[Attack]:
    yield Attack("another key", "everything, its public half beside it", _resign_all_by_another, KEY)
    for name in (file.format(NEW) for file in FILES):
        yield Attack("another key", name, partial(_resign_one_by_another, name=name), KEY)
    yield Attack("unsigned", "every signature removed", _unsign, "missing")
    for one, other in ((0, 1), (1, 0), (3, 0), (4, 3)):
        a, b = FILES[one].format(NEW), FILES[other].format(NEW)
        yield Attack("signature of another file", f"{a}.sig over {b}", partial(_lend, of=a, to=b), KEY)
    yield Attack("signature of another file", f"of {STABLE}'s {SUMS}", _lend_from_stable, KEY)


def _resign_all_by_another(world: World) -> None:
    sign_folder(world.assets(), signing_key(new_keys(), "signing"))


def _resign_one_by_another(world: World, name: str) -> None:
    signature = signature_of(world.assets() / name, signing_key(new_keys(), "signing"))
    (world.assets() / f"{name}.sig").write_text(signature)


def _unsign(world: World) -> None:
    for file in world.assets().glob("*.sig"):
        file.unlink()


def _lend(world: World, of: str, to: str) -> None:
    shutil.copy(world.assets() / f"{of}.sig", world.assets() / f"{to}.sig")


def _lend_from_stable(world: World) -> None:
    shutil.copy(world.assets(STABLE) / f"{SUMS}.sig", world.assets() / f"{SUMS}.sig")


# --- content that is not what was built ------------------------------------------------------------------------------


def _digests() -> Iterator[Attack]:
    yield Attack("other content", "bundles swapped", _swap, DIGEST)
    yield Attack("other content", "bundles swapped, trusted", _trusted(_swap), "is of worker")
    yield Attack("other content", "built anew, trusted", _trusted(_build_anew), "published last")
    yield Attack("other content", "built anew, trusted, ledger forged", _build_anew_and_say_so, DIGEST)
    yield Attack("other content", "SBOM of the stable version", _sbom_of_stable, DIGEST)
    yield Attack(
        "other content", "SBOM of the stable version with its signature", _signed_sbom_of_stable, DIGEST
    )
    yield Attack(
        "other content", "a bundle of no service, trusted", _trusted(_pack_nobody), "is of  , expected"
    )
    yield Attack(
        "other content", "a bundle that is no archive, trusted", _trusted(_pack_garbage), "no readable"
    )
    yield Attack(
        "other content", "a manifest that is a list, trusted", _trusted(_manifest(b"[]")), "is of list"
    )
    bomb = b'{"x": "' + b"0" * 64 * 1024**2 + b'"}'
    yield Attack("decompression bomb", "64 MiB of manifest, trusted", _trusted(_manifest(bomb)), "more than")
    deep = b"[" * 100_000
    yield Attack(
        "decompression bomb", "a manifest 100,000 deep, trusted", _trusted(_manifest(deep)), "no readable"
    )


def _trusted(act: Callable[[World], None]) -> Callable[[World], None]:
    """What whoever has the key makes of it: new checksums and signatures."""

    def acted(world: World) -> None:
        act(world)
        names = [file.format(NEW) for file in FILES if file != SUMS]
        write_checksums(world.assets(), names)
        sign_folder(world.assets(), signing_key(world.keys, "signing"))

    return acted


def _swap(world: World) -> None:
    web, worker = (world.bundle(service) for service in SERVICES)
    held = web.read_bytes(), worker.read_bytes()
    web.write_bytes(held[1])
    worker.write_bytes(held[0])


def _build_anew(world: World) -> None:
    made = make_artefacts(world.platform, world.release.home.root / "anew", NEW, "something else")
    for service, file in made.items():
        shutil.copy(file, world.bundle(service))


def _build_anew_and_say_so(world: World) -> None:
    _trusted(_build_anew)(world)
    said = {"checksums": file_digest(world.assets() / SUMS)}
    world.release.ledger.append_once("somebody", "sign.published", f"v{NEW}", said)


def _sbom_of_stable(world: World) -> None:
    shutil.copy(world.assets(STABLE) / "sbom.cdx.json", world.assets() / "sbom.cdx.json")


def _signed_sbom_of_stable(world: World) -> None:
    _sbom_of_stable(world)
    shutil.copy(world.assets(STABLE) / "sbom.cdx.json.sig", world.assets() / "sbom.cdx.json.sig")


def _pack_nobody(world: World) -> None:
    folder = world.release.home.root / "nobody"
    folder.mkdir()
    pack(folder, Manifest("", "", (), "python"), world.bundle("web"))


def _pack_garbage(world: World) -> None:
    world.bundle("web").write_bytes(b"\x1f\x8b no archive")


def _manifest(content: bytes) -> Callable[[World], None]:
    def act(world: World) -> None:
        _archive(world.bundle("web"), {"bundle.json": content})

    return act


def _archive(file: Path, members: dict[str, bytes], last: tarfile.TarInfo | None = None) -> None:
    """`last` is its header alone, whatever size it says."""
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if last is not None:
            archive.addfile(last)


# --- checksums -------------------------------------------------------------------------------------------------------


def _checksums() -> Iterator[Attack]:
    zeros = "0" * 64
    lines = {
        "a path that leads out": f"{zeros}  ../../store/secret\n",
        "an absolute path": f"{zeros}  /etc/passwd\n",
        "a digest too short": f"{zeros[1:]}  web-{NEW}.tar.gz\n",
        "a digest in capitals": f"{'A' * 64}  web-{NEW}.tar.gz\n",
        "a name twice": f"{zeros}  a\n{zeros}  a\n",
        "no name": f"{zeros}  \n",
        "nothing": "\n",
    }
    for name, text in lines.items():
        yield Attack(
            "checksums", f"{name}, trusted", partial(_trust_sums, text=text), "line [12]: expected|names no"
        )
    yield Attack("checksums", "a bundle that is not named", _stranger, "not named in")
    for service in SERVICES:
        name = f"{service} left out, trusted"
        yield Attack("checksums", name, partial(_leave_out, service=service), "not named in|published last")


def _trust_sums(world: World, text: str) -> None:
    sums = world.assets() / SUMS
    sums.write_text(text)
    signature = signature_of(sums, signing_key(world.keys, "signing"))
    (world.assets() / f"{SUMS}.sig").write_text(signature)


def _stranger(world: World) -> None:
    shutil.copy(world.bundle("web"), world.assets() / f"extra-{NEW}.tar.gz")


def _leave_out(world: World, service: str) -> None:
    world.bundle(service).unlink()
    names = [f.format(NEW) for f in FILES if f != SUMS and not f.startswith(service)]
    write_checksums(world.assets(), names)
    sign_folder(world.assets(), signing_key(world.keys, "signing"))


# --- an older release as a newer one ---------------------------------------------------------------------------------


def _replays() -> Iterator[Attack]:
    yield Attack("replay", "the stable release as the new one", _stable_as_new, "is of version 1.0.0")
    yield Attack(
        "replay", "the same, its release.json rewritten", _stable_as_new_told, "not named in|is of web"
    )
    yield Attack(
        "replay", "stable bundles under new names, trusted", _trusted(_stable_bundles), "is of web 1.0.0"
    )
    yield Attack("replay", "an older release of the same version", _older, "published last")
    yield Attack("replay", "an older release of the same version, late", _older, "published last", "late")
    yield Attack("replay", "no release.json", partial(_release_json, text=""), "cannot be read")
    yield Attack(
        "replay", "a release.json of no version", partial(_release_json, text="{}"), "cannot be read"
    )


def _stable_as_new(world: World) -> None:
    shutil.rmtree(world.folder())
    shutil.copytree(world.folder(STABLE), world.folder())


def _stable_as_new_told(world: World) -> None:
    _stable_as_new(world)
    _release_json(world, json.dumps({"version": NEW}))


def _release_json(world: World, text: str) -> None:
    (world.folder() / "release.json").write_text(text)


def _stable_bundles(world: World) -> None:
    made = make_artefacts(world.platform, world.release.home.root / "old", STABLE, "the old way")
    for service, file in made.items():
        shutil.copy(file, world.bundle(service))


def _older(world: World) -> None:
    """As it was published before under the same version: every signature is good."""
    older = make_artefacts(world.platform, world.release.home.root / "older", NEW, "has a bug")
    for file in next(iter(older.values())).parent.iterdir():
        shutil.copy(file, world.assets() / file.name)
    _trusted(lambda _: None)(world)


# --- statements ------------------------------------------------------------------------------------------------------


def _say(
    world: World, name: str, kind: str, about: dict[str, str], predicate: Any, *, key: Any = None
) -> None:
    """A statement under that name, whatever it says; by the trusted key, or by another one."""
    subject = [{"name": n, "digest": {"sha256": d.removeprefix("sha256:")}} for n, d in about.items()]
    content = {"_type": STATEMENT_TYPE_URI, "subject": subject, "predicateType": kind, "predicate": predicate}
    payload = json.dumps(content).encode()
    envelope = Envelope(payload, "application/vnd.in-toto+json", {})
    signature = (key or signing_key(world.keys, "signing")).sign(envelope.pae(), ec.ECDSA(hashes.SHA256()))
    signatures = [{"keyid": "", "sig": base64.b64encode(signature).decode()}]
    (world.assets() / name).write_text(json.dumps({**envelope.to_dict(), "signatures": signatures}))


def _read(file: Path) -> Any:
    return json.loads(base64.b64decode(json.loads(file.read_text())["payload"]))


def _changed(name: str, change: Callable[[Any], None]) -> Callable[[World], None]:
    def act(world: World) -> None:
        said = _read(world.assets() / name)
        change(said["predicate"])
        _say(world, name, said["predicateType"], subjects(world.assets()), said["predicate"])

    return act


def _subjects_changed(name: str, change: Callable[[dict[str, str]], None]) -> Callable[[World], None]:
    def act(world: World) -> None:
        said, about = _read(world.assets() / name), subjects(world.assets())
        change(about)
        _say(world, name, said["predicateType"], about, said["predicate"])

    return act


def _provenance() -> Iterator[Attack]:
    def of(name: str, change: Callable[[Any], None], found_by: str) -> Attack:
        return Attack("provenance", f"{name}, trusted", _changed(PROVENANCE_FILE, change), found_by)

    definition = "buildDefinition"
    source: Callable[[Any], Any] = lambda p: p[definition]["resolvedDependencies"][0]["digest"]  # noqa: E731
    parameters: Callable[[Any], Any] = lambda p: p[definition]["externalParameters"]  # noqa: E731
    yield of("of another commit", lambda p: source(p).update(gitCommit="0" * 40), "expected commit")
    yield of("of no commit", lambda p: source(p).clear(), "expected commit")
    yield of("of two commits", lambda p: p[definition]["resolvedDependencies"].append(
        {"uri": "git+elsewhere", "digest": {"gitCommit": "1" * 40}}), "expected commit")  # fmt: skip
    yield of("of another version", lambda p: parameters(p).update(version=STABLE), "expected {'platform'")
    yield of(
        "of another plan",
        lambda p: parameters(p).update(plan="urn:roundtrip:plan:other"),
        "expected {'platform'",
    )
    yield of("with no definition", lambda p: p.update({definition: None}), "expected {'platform'")
    yield of(
        "with null as digests",
        lambda p: p[definition]["resolvedDependencies"][0].update(digest=None),
        "expected commit",
    )
    yield of(
        "with no parameters", lambda p: p[definition].update(externalParameters={}), "expected {'platform'"
    )
    yield Attack("provenance", "of the stable version", _provenance_of_stable, "expected .*got")
    yield from _about(PROVENANCE_FILE, "provenance")
    as_provenance = partial(_copy_statement, of=STAGING_FILE, to=PROVENANCE_FILE)
    yield Attack("provenance", "staging's summary in its place", as_provenance, f"expected {PROVENANCE}")


def _about(name: str, kind: str) -> Iterator[Attack]:
    web, extra, zeros = f"web-{NEW}.tar.gz", "extra.tar.gz", "sha256:" + "0" * 64
    changes: dict[str, Callable[[dict[str, str]], None]] = {
        "about another bundle": lambda about: about.update({web: zeros}),
        "not about a bundle": lambda about: about.pop(web) and None,
        f"not about {SUMS}": lambda about: about.pop(SUMS) and None,
        "about one file more": lambda about: about.update({extra: zeros}),
    }
    for what, change in changes.items():
        yield Attack(kind, f"{what}, trusted", _subjects_changed(name, change), "expected .*got")


def _provenance_of_stable(world: World) -> None:
    shutil.copy(world.assets(STABLE) / PROVENANCE_FILE, world.assets() / PROVENANCE_FILE)


def _copy_statement(world: World, of: str, to: str) -> None:
    shutil.copy(world.assets() / of, world.assets() / to)


def _staging() -> Iterator[Attack]:
    def of(name: str, change: Callable[[Any], None], found_by: str, way: Way = "forward") -> Attack:
        return Attack("staging's summary", f"{name}, trusted", _changed(STAGING_FILE, change), found_by, way)

    now = datetime.now(UTC)
    old, ahead = (now - timedelta(days=15)).isoformat(), (now + timedelta(days=2)).isoformat()
    zeros = {"sha256": "0" * 64}
    yield of("FAILED", lambda p: p.update(verificationResult="FAILED"), "expected PASSED")
    yield of("FAILED, late", lambda p: p.update(verificationResult="FAILED"), "expected PASSED", "late")
    yield of("neither", lambda p: p.update(verificationResult="MAYBE"), "no in-toto statement")
    yield of(
        "by another form of the plan", lambda p: p["policy"].update(digest=zeros), "by the plan as it is"
    )
    yield of("by another plan", lambda p: p["policy"].update(uri="urn:other"), "by the plan as it is")
    yield of(
        "on another provenance", lambda p: p["inputAttestations"][0].update(digest=zeros), "does not rest on"
    )
    yield of("on no provenance", lambda p: p.update(inputAttestations=[]), "does not rest on")
    yield of("of 15 days ago", lambda p: p.update(timeVerified=old), "the plan allows 14")
    yield of("of the day after tomorrow", lambda p: p.update(timeVerified=ahead), "the plan allows 14")
    yield of("of no time", lambda p: p.pop("timeVerified") and None, "no in-toto statement")
    yield of("with a field more", lambda p: p.update(trustMe=True), "no in-toto statement")
    yield from _about(STAGING_FILE, "staging's summary")
    forged = partial(_say_by_another, name=STAGING_FILE)
    yield Attack("staging's summary", "forged by another key", forged, KEY)
    yield Attack("provenance", "forged by another key", partial(_say_by_another, name=PROVENANCE_FILE), KEY)
    as_staging = partial(_copy_statement, of=PROVENANCE_FILE, to=STAGING_FILE)
    yield Attack("staging's summary", "the provenance in its place", as_staging, f"expected {SUMMARY}")


def _say_by_another(world: World, name: str) -> None:
    said = _read(world.assets() / name)
    key = signing_key(new_keys(), "signing")
    _say(world, name, said["predicateType"], subjects(world.assets()), said["predicate"], key=key)


def _envelopes() -> Iterator[Attack]:
    def of(name: str, change: Callable[[Any], Any], found_by: str = STATEMENT) -> Attack:
        return Attack("envelope", name, partial(_bend_envelope, change=change), found_by)

    yield of("another payload type", lambda e: {**e, "payloadType": "text/plain"}, "expected a payload")
    yield of("no signatures", lambda e: {**e, "signatures": []}, KEY)
    yield of("a signature of nothing", lambda e: {**e, "signatures": [{"keyid": "", "sig": ""}]}, KEY)
    yield of("signatures that are no list", lambda e: {**e, "signatures": 7})
    yield of("a payload that is no base64", lambda e: {**e, "payload": "%"}, "no DSSE envelope")
    yield of("a payload of another", lambda e: {**e, "payload": base64.b64encode(b"{}").decode()}, KEY)
    yield of("a list", lambda e: [e], "no DSSE envelope")
    yield of("null", lambda _: None, "no DSSE envelope")
    large = b" " * 5 * 1024**2
    yield Attack(
        "envelope", "5 MiB of spaces", partial(write, name=PROVENANCE_FILE, content=large), "is larger than"
    )
    deep = b"[" * 1_000_000
    yield Attack(
        "envelope", "a million deep", partial(write, name=PROVENANCE_FILE, content=deep), "no DSSE envelope"
    )


def _bend_envelope(world: World, change: Callable[[Any], Any]) -> None:
    file = world.assets() / STAGING_FILE
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


# --- the store that bundles are deployed from ------------------------------------------------------------------------


def _store() -> Iterator[Attack]:
    for way in ("forward", "late"):
        for service in SERVICES:
            act = partial(_flip_stored, service=service)
            yield Attack("store", f"{service} flipped, {way}", act, DIGEST, way)  # type: ignore[arg-type]
    yield Attack("store", "one bundle under the other's digest", _swap_stored, DIGEST)
    yield Attack("store", "one bundle under the other's digest, late", _swap_stored, DIGEST, "late")
    yield Attack("store", "a link to the other bundle", _link_stored, DIGEST)


def _flip_stored(world: World, service: str) -> None:
    file = world.stored(service)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _swap_stored(world: World) -> None:
    shutil.copy(world.stored("worker"), world.stored("web"))


def _link_stored(world: World) -> None:
    web, worker = world.stored("web"), world.stored("worker")
    web.unlink()
    web.symlink_to(worker)


# --- what the build has made itself ----------------------------------------------------------------------------------


def _archives() -> Iterator[Attack]:
    members = {
        "a path that leads out": _member("../../escaped"),
        "an absolute path": _member("/tmp/escaped"),
        "a link that leads out": _member("link", type=tarfile.SYMTYPE, linkname="../../../../etc/passwd"),
        "a hard link that leads out": _member("link", type=tarfile.LNKTYPE, linkname="../../escaped"),
        "a link within": _member("link", type=tarfile.SYMTYPE, linkname="main.py"),
        "a pipe": _member("pipe", type=tarfile.FIFOTYPE),
        "a device": _member("device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    }
    for name, member in members.items():
        kind = (
            "archive that leads out" if "out" in name or "absolute" in name else "archive of more than files"
        )
        yield Attack(kind, name, partial(_add_to_bundle, member=member), "leads outside", "build")


def _member(name: str, **about: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in about.items():
        setattr(info, key, value)
    return info


def _add_to_bundle(artefacts: Path, member: tarfile.TarInfo) -> None:
    file = artefacts / f"web-{NEW}.tar.gz"
    with tarfile.open(file, "r:gz") as archive:
        held = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    _archive(file, held, member)


# --- the key that is trusted -----------------------------------------------------------------------------------------


def _trust() -> Iterator[Attack]:
    def trusting(pem: str) -> Callable[[World], None]:
        return lambda world: world.keys.update(public_key=pem)

    keys = {
        "none": "",
        "no PEM": "c29tZXRoaW5n",
        "another one": new_keys()["public_key"],
        "RSA": _pem(rsa.generate_private_key(65537, 2048).public_key()),
        "Ed25519": _pem(ed25519.Ed25519PrivateKey.generate().public_key()),
        "another curve": _pem(ec.generate_private_key(ec.SECP384R1()).public_key()),
    }
    for name, pem in keys.items():
        yield Attack("trusted key", name, trusting(pem), f"public_key|{KEY}")


def _pem(key: Any) -> str:
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


# --- the way back ----------------------------------------------------------------------------------------------------


def _back() -> Iterator[Attack]:
    for name in _parts(STABLE, (PROVENANCE_FILE,)):
        if "Tiny_Platform" in name or name.startswith("worker"):
            continue  # the stable release has no such file, or the version no such service
        act = partial(flip, name=name, where="middle", version=STABLE)
        yield Attack("way back: flipped byte", name, act, ".", "back")
        yield Attack("way back: missing", name, partial(remove, name=name, version=STABLE), ".", "back")
    yield Attack("way back: replaced", "another stable release, trusted", _replace_stable, DIGEST, "back")
    yield Attack(
        "way back: replaced", "the new release as the stable one", _new_as_stable, "is of version", "back"
    )
    other = partial(_attest_stable, version="0.9.0")
    yield Attack(
        "way back: replaced", "provenance of another version, trusted", other, "expected {'platform'", "back"
    )
    yield Attack(
        "running", "production runs what nobody has signed", _run_something_else, "which is signed", "verify"
    )


def _attest_stable(world: World, version: str = STABLE) -> None:
    made = Build(version, "c0ffee", "refs/tags/v1.0.0", "set-up", None, None)
    attest_build(world.assets(STABLE), world.release.plan, made, signing_key(world.keys, "signing"))


def _replace_stable(world: World) -> None:
    """Signed by the trusted key, and not what ran before."""
    folder = world.release.home.root / "replaced"
    for file in make_artefacts(world.platform, folder, STABLE, "another old way").values():
        shutil.copy(file, world.assets(STABLE) / file.name)
    names = [path.name for path in world.assets(STABLE).glob("*.tar.gz")]
    write_checksums(world.assets(STABLE), names)
    sign_folder(world.assets(STABLE), signing_key(world.keys, "signing"))
    _attest_stable(world)


def _new_as_stable(world: World) -> None:
    shutil.rmtree(world.folder(STABLE))
    shutil.copytree(world.folder(), world.folder(STABLE))


def _run_something_else(world: World) -> None:
    target = world.targets["production"]
    strange = tuple(replace(p, bundle="sha256:" + "f" * 64) for p in target.placed.placements)
    target.placed = replace(target.placed, placements=strange)
