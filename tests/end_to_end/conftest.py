"""One machine for all end-to-end tests, which run in the order of their files: each release starts where one ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.machine import ROOT, EndToEnd


@pytest.fixture(scope="package")
def machine() -> Iterator[EndToEnd]:
    """A state folder of its own, kept between runs for its caches, so that a second run is a warm one.

    It is down before the tests of other packages begin: they have the processors to themselves.
    """
    end_to_end = EndToEnd(Path(os.environ.get("ROUNDTRIP_END_TO_END", ROOT / ".roundtrip" / "end_to_end")))
    yield end_to_end
    end_to_end.run("down")
