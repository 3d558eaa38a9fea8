"""One cache of tools and dependencies for the session, and platforms that share it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.build.platform import Platform, make_platform


@pytest.fixture(scope="session")
def tool_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tools")


@pytest.fixture
def platform(tmp_path: Path, tool_cache: Path) -> Platform:
    return make_platform(tmp_path, cache=tool_cache)
