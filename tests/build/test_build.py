"""Each service becomes a bundle: from one commit and its lockfiles, the same every time, and what runs is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roundtrip.build.artefacts import artefacts, build_service, make_stable, reproduce_service
from roundtrip.errors import BuildError
from roundtrip.release import Release
from roundtrip.targets.bundles import BundleStore, Manifest, file_digest, members
from roundtrip.toolchain.programs import node
from roundtrip.verification.published import CHECKSUMS
from tests.build.platform import Platform, make_platform


def _unpacked(release: Release, service: str, folder: Path) -> Path:
    digest = _ledger(release, "build.bundle", f"{service}@1.1.0")["digest"]
    return BundleStore(release.home.store).open(digest, folder / service)


def _ledger(release: Release, kind: str, key: str) -> dict:
    return dict(release.ledger.last(release.id, kind, key).data)


def test_a_bundle_has_what_runs_and_nothing_of_how_it_was_made(platform: Platform, tmp_path: Path) -> None:
    platform.lay()
    release = platform.release()
    for service in ("web", "worker"):
        build_service(release, service)
    web, worker = (_unpacked(release, service, tmp_path) for service in ("web", "worker"))

    assert {path.name for path in web.iterdir()} == {
        "bin", "bundle.json", "conf", "dist", "node_modules", "notes", "package.json",
    }  # fmt: skip
    assert [path.name for path in (web / "node_modules").iterdir()] == ["ms"]
    assert (web / "notes" / "notes.txt").read_text() == "of 1.1.0\n"
    manifest = Manifest.read(web)
    assert (manifest.service, manifest.version, manifest.environment) == (
        "web",
        "1.1.0",
        ("DEPLOY_ENV", "TOKEN"),
    )
    assert "# optional, secret, matches [a-z]+\nTOKEN=\n" in (web / "conf" / "variables.env").read_text()

    assert {path.name for path in (worker / "site").iterdir()} == {
        "iniconfig", "iniconfig-2.1.0.dist-info", "tiny", "tiny-1.1.0.dist-info",
    }  # fmt: skip
    assert not [
        name for name in members(_bundle(release, "worker")) if name.endswith((".pyc", "RECORD", "INSTALLER"))
    ]
    for name in (f"{web}", str(release.home.root)):
        found = [
            p
            for p in (*web.rglob("*"), *worker.rglob("*"))
            if p.is_file() and name.encode() in p.read_bytes()
        ]
        assert found == []


def _bundle(release: Release, service: str) -> Path:
    return artefacts(release) / f"{service}-1.1.0.tar.gz"


def test_the_run_script_runs_the_bundle_alone(platform: Platform, tmp_path: Path, tool_cache: Path) -> None:
    platform.lay()
    release = platform.release()
    said = {}
    for service, program in (("web", node(tool_cache, 20, str).program), ("worker", sys.executable)):
        build_service(release, service)
        run = _unpacked(release, service, tmp_path) / "bin" / "run"
        env = {"NODE": str(program), "PYTHON": str(program), "PATH": "/usr/bin:/bin"}
        said[service] = subprocess.run([run], env=env, capture_output=True, text=True, check=True).stdout
    assert said["worker"] == "43\n"
    # Nine o'clock on 12 January 2026 and 90 days: when the change was committed.
    assert said["web"] == "172800000 1775984400 [ '--greeting', 'good day' ]\n"


def test_built_again_elsewhere_it_is_the_same_and_the_ledger_says_so(platform: Platform) -> None:
    platform.lay()
    release = platform.release()
    for service in ("web", "worker"):
        build_service(release, service)
        reproduce_service(release, service)
        event = _ledger(release, "build.reproduced", service)
        assert event["same"] and not event["reused"]
        assert (
            event["first"]
            == event["second"]
            == _ledger(release, "build.bundle", f"{service}@1.1.0")["digest"]
        )


def test_two_machines_build_the_same_bundle(platform: Platform, tmp_path: Path) -> None:
    other = make_platform(tmp_path / "elsewhere" / "deeper")
    digests = []
    for each in (platform, other):
        each.lay()
        release = each.release()
        build_service(release, "worker")
        digests.append(_ledger(release, "build.bundle", "worker@1.1.0")["digest"])
    assert digests[0] == digests[1]


def test_what_differs_between_two_builds_is_named_and_running_the_step_again_does_not_help(
    platform: Platform,
) -> None:
    (platform.change / "web" / "compile.js").write_text(
        'const fs = require("fs"); fs.mkdirSync("dist"); fs.writeFileSync("dist/where.txt", process.cwd());'
        'fs.writeFileSync("dist/server.js", "");'
    )
    platform.lay()
    release = platform.release()
    build_service(release, "web")
    for _ in range(2):
        with pytest.raises(BuildError, match=r"web: built twice, 1 things differ: dist/where\.txt"):
            reproduce_service(release, "web")
    assert _ledger(release, "build.reproduced", "web")["same"] is False
    # What did not build the same twice is not taken from the cache as if it had.
    build_service(platform.release("r2"), "web")
    with pytest.raises(BuildError, match="1 things differ"):
        reproduce_service(platform.release("r2"), "web")


def test_the_next_release_of_the_same_source_builds_nothing(platform: Platform) -> None:
    platform.lay()
    for name in ("r1", "r2"):
        build_service(platform.release(name), "web")
        reproduce_service(platform.release(name), "web")
    first, second = (_ledger(platform.release(n), "build.bundle", "web@1.1.0") for n in ("r1", "r2"))
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["digest"] == second["digest"] == file_digest(_bundle(platform.release("r2"), "web"))
    assert _ledger(platform.release("r2"), "build.reproduced", "web")["reused"] is True


def test_a_change_of_the_source_or_of_the_plan_is_built(platform: Platform) -> None:
    platform.lay()
    build_service(platform.release("r1"), "web")
    build_service(platform.release("r1"), "worker")
    (platform.change / "web" / "notes.txt").write_text("changed\n")
    platform.lay()
    build_service(platform.release("r2"), "web")
    build_service(platform.release("r2"), "worker")
    assert not _ledger(platform.release("r2"), "build.bundle", "web@1.1.0")["reused"]
    web = platform.plan.services["web"]
    shorter = web.model_copy(update={"environment": ["DEPLOY_ENV"]})
    platform.plan = platform.plan.model_copy(update={"services": {**platform.plan.services, "web": shorter}})
    build_service(platform.release("r3"), "web")
    assert not _ledger(platform.release("r3"), "build.bundle", "web@1.1.0")["reused"]


def test_a_damaged_bundle_in_the_store_is_built_anew_and_not_reused(platform: Platform) -> None:
    platform.lay()
    build_service(platform.release("r1"), "worker")
    digest = _ledger(platform.release("r1"), "build.bundle", "worker@1.1.0")["digest"]
    place = BundleStore(platform.home.store).path(digest)
    content = bytearray(place.read_bytes())
    content[-20] ^= 1
    place.write_bytes(content)
    build_service(platform.release("r2"), "worker")
    second = _ledger(platform.release("r2"), "build.bundle", "worker@1.1.0")
    assert (second["digest"], second["reused"]) == (digest, False)
    assert file_digest(place) == digest


def test_a_build_that_was_killed_leaves_nothing_for_the_next_though_its_command_lives_on(
    platform: Platform, tool_cache: Path
) -> None:
    (platform.change / "web" / "compile.js").write_text(
        'const fs = require("fs"); fs.mkdirSync("dist", { recursive: true }); fs.writeFileSync("dist/server.js", "");'
        'fs.writeFileSync("left.txt", "over");'
    )
    platform.lay()
    release = platform.release()
    build_service(release, "web")
    clean = _ledger(release, "build.bundle", "web@1.1.0")["digest"]
    assert "notes/left.txt" in members(_bundle(release, "web"))

    killed = release.folder / "build" / "second" / "web" / "attempt-killed" / "source"
    killed.mkdir(parents=True)
    write = 'setInterval(() => { try { require("fs").writeFileSync("strange.txt", "") } catch {} }, 1)'
    program = node(tool_cache, 20, str).program
    with subprocess.Popen([program, "-e", write], cwd=killed) as orphan:
        reproduce_service(release, "web")
        assert orphan.poll() is None
        orphan.kill()
    assert _ledger(release, "build.reproduced", "web")["second"] == clean


def test_the_wrong_version_is_not_built(platform: Platform) -> None:
    file = platform.change / "web" / "package.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": "1.0.9"}))
    platform.lay()
    with pytest.raises(BuildError, match=r"web: expected version 1\.1\.0, its own manifest says 1\.0\.9"):
        build_service(platform.release(), "web")
    assert platform.release().ledger.last("r1", "build.bundle") is None


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ({"dust": "dist"}, "nothing matches dust"),
        ({"../worker": "worker"}, r"source '\.\./worker' leads outside"),
        ({"dist": "/etc"}, "place '/etc' leads outside"),
        ({"dist": "out/../../x"}, r"place 'out/\.\./\.\./x' leads outside"),
        ({"notes.txt": "bundle", "package.json": "bundle"}, "two sources for one file: bundle"),
    ],
)
def test_an_include_that_cannot_be_is_refused(
    platform: Platform, include: dict[str, str], message: str
) -> None:
    web = platform.plan.services["web"]
    bent = web.model_copy(update={"bundle": web.bundle.model_copy(update={"include": include})})
    platform.plan = platform.plan.model_copy(update={"services": {**platform.plan.services, "web": bent}})
    platform.lay()
    with pytest.raises(BuildError, match=message):
        build_service(platform.release(), "web")


def test_a_link_out_of_the_project_does_not_get_into_a_bundle(platform: Platform) -> None:
    (platform.change / "web" / "compile.js").write_text(
        'const fs = require("fs"); fs.mkdirSync("dist"); fs.symlinkSync("/etc/passwd", "dist/server.js");'
    )
    platform.lay()
    with pytest.raises(BuildError, match=r"leads out of the project at .*dist/server\.js"):
        build_service(platform.release(), "web")


def test_the_stable_version_comes_the_same_way_without_services_it_does_not_run(
    platform: Platform, tmp_path: Path
) -> None:
    platform.lay()
    folder = tmp_path / "stable"
    commit = make_stable(platform.plan, platform.home, platform.home.repository, folder, None)
    assert make_stable(platform.plan, platform.home, platform.home.repository, folder, None) == commit
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "web-1.0.0.tar.gz",
        "Tiny_Platform-1.0.0.zip",
        "sbom.cdx.json",
        "sbom.spdx.json",
        CHECKSUMS,
    }
    unpacked = BundleStore(tmp_path / "s").open(
        BundleStore(tmp_path / "s").put(folder / "web-1.0.0.tar.gz"), tmp_path / "web"
    )
    assert Manifest.read(unpacked).environment == ("DEPLOY_ENV",)
    assert (unpacked / "notes" / "notes.txt").read_text() == "of 1.0.0\n"
