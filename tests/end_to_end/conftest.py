"""One machine for all end-to-end tests, which run in the order of their files: each release starts where one ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from tests.end_to_end.containers import product_of_containers
from tests.end_to_end.machine import HOME, KIND, EndToEnd, Product


@pytest.fixture(scope="package")
def machine() -> Iterator[EndToEnd]:
    """It is down before the tests of other packages begin: they have the processors to themselves."""
    home = HOME.with_name(f"{HOME.name}-{KIND}") if KIND != "local" else HOME
    with product_of_containers(home) if KIND == "compose" else nullcontext(Product()) as product:
        end_to_end = EndToEnd(home, product)
        yield end_to_end
        end_to_end.run("down")
