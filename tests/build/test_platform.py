"""The platform itself: its services build the same twice, and what was built starts from the bundle alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from roundtrip.build.artefacts import artefacts, build_service, reproduce_service
from roundtrip.forge.laying import PLATFORM
from roundtrip.plan.loading import load_plan
from roundtrip.targets.bundles import BundleStore, Manifest, members
from roundtrip.toolchain.programs import node
from tests.build.platform import Platform, make_platform

pytestmark = pytest.mark.integration

PLAN = PLATFORM.parent / "plans" / "top_tier_trading_1_1_0.yaml"
EX_CONFIG = 78


@pytest.fixture
def trading(tmp_path: Path, tool_cache: Path) -> Platform:
    """The real platform and its plan, in a state folder of its own."""
    made = make_platform(tmp_path, cache=tool_cache)
    made.source, made.plan = PLATFORM, load_plan(PLAN)
    made.lay()
    return made


@pytest.mark.parametrize("service", ["workers", "api"])
def test_a_service_builds_the_same_twice_and_starts(
    trading: Platform, service: str, tmp_path: Path, tool_cache: Path
) -> None:
    release = trading.release()
    build_service(release, service)
    reproduce_service(release, service)
    event = release.ledger.last("r1", "build.reproduced", service).data
    assert event["same"] and not event["reused"]

    names = members(artefacts(release) / f"{service}-1.1.0.tar.gz")
    assert not [name for name in names if name.endswith(".pyc") or "/.bin/" in name]
    store = BundleStore(release.home.store)
    bundle = store.open(event["first"], tmp_path / "unpacked")
    assert Manifest.read(bundle).version == "1.1.0"
    programs = {"NODE": str(node(tool_cache, 20, str).program), "PYTHON": sys.executable}
    env = {**programs, "PATH": "/usr/bin:/bin", "HOST": "127.0.0.1", "PORT": "1"}
    started = subprocess.run([bundle / "bin" / "run"], env=env, capture_output=True, text=True, check=False)
    # It came up as far as its own check of the settings, and names one that is missing.
    assert started.returncode == EX_CONFIG, started.stderr
    assert any(name in started.stderr for name in trading.plan.services[service].environment)
