"""`./roundtrip` on a machine that has Python only, and the files that it installs from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALL_LIMIT_SECONDS = 600
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z,-]+\])?==([^\s;]+)(?:; \S.*)?$")


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    found = [PIN.match(line) for line in wanted]
    assert None not in found, [line for line in wanted if not PIN.match(line)]
    return {match[1]: match[2] for match in found if match}


def locked() -> dict[str, str]:
    """Name -> its block in the lock, from its version to its last hash."""
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    return {block.partition("==")[0].partition("[")[0]: block.partition("==")[2] for block in blocks}


def test_the_lock_has_every_direct_dependency_in_the_version_that_is_asked_for() -> None:
    lock = locked()
    assert {name: lock[name.replace(".", "-")].split()[0] for name in pins()} == pins()


def test_everything_in_the_lock_has_a_hash_and_nothing_says_where_it_is_from() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert [name for name, block in locked().items() if "--hash=sha256:" not in block] == []
    assert re.findall(r"://|--(?:extra-)?index-url|--find-links", text) == []


def test_every_direct_dependency_says_what_it_is_for() -> None:
    table = (ROOT / "docs" / "dependencies.md").read_text()
    named = set(re.split(r"[^a-z0-9.-]+", " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))))
    short = {name.removeprefix("apache-airflow-providers-") for name in pins()}
    assert short - named == set()


@pytest.mark.slow
def test_a_fresh_checkout_installs_itself_once_and_finishes_what_was_interrupted(tmp_path: Path) -> None:
    checkout = tmp_path / "a folder with spaces"
    shutil.copytree(ROOT / "include" / "roundtrip", checkout / "include" / "roundtrip")
    for name in ("roundtrip", "requirements.txt", "requirements.lock"):
        shutil.copy2(ROOT / name, checkout / name)
    link = tmp_path / "roundtrip"
    link.symlink_to(checkout / "roundtrip")

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "ROUNDTRIP_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [str(link), *arguments],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_LIMIT_SECONDS,
            check=False,
        )

    first = call("--help")
    assert first.returncode == 0, first.stderr
    assert "verify-ledger" in first.stdout
    assert "installing" in first.stderr
    packages = next((checkout / ".venv" / "lib").glob("python3*/site-packages"))
    assert list((packages / "airflow").rglob("*.pyc")), "byte code is compiled whatever the environment says"

    again = call("verify-ledger")
    assert (again.returncode, "installing" in again.stderr) == (1, False), (
        "the exit code is the command's own"
    )

    # Killed before its end: the mark is missing and so is a package.
    (checkout / ".venv" / ".roundtrip-ready").unlink()
    shutil.rmtree(packages / "typer")
    shutil.rmtree(next(packages.glob("typer-*.dist-info")))
    finished = call("--help")
    assert finished.returncode == 0, finished.stderr
    assert "installing" in finished.stderr


def test_a_machine_without_a_fitting_python_is_told_what_to_install(tmp_path: Path) -> None:
    checkout, bin_folder = tmp_path / "checkout", tmp_path / "bin"
    checkout.mkdir()
    bin_folder.mkdir()
    for name in ("roundtrip", "requirements.txt", "requirements.lock"):
        shutil.copy2(ROOT / name, checkout / name)
    for name in ("bash", "env", "readlink", "dirname", "sha256sum", "cut", "cat", "flock", "rm", "git"):
        (bin_folder / name).symlink_to(shutil.which(name) or "")
    done = subprocess.run(
        [str(checkout / "roundtrip"), "status"],
        env={"PATH": str(bin_folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "expected Python 3.11 or 3.12 with venv on PATH, found none -> install one" in done.stderr
    assert not (checkout / ".venv").exists()
