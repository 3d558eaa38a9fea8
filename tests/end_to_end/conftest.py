"""One machine for all end-to-end tests, which run in the order of their files: each release starts where one ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.machine import HOME, EndToEnd


@pytest.fixture(scope="package")
def machine() -> Iterator[EndToEnd]:
    """It is down before the tests of other packages begin: they have the processors to themselves."""
    end_to_end = EndToEnd(HOME)
    yield end_to_end
    end_to_end.run("down")
