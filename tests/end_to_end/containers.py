"""What the end-to-end tests need of a machine to run in containers. The product is a copy whose environments name its engine
and registry; nothing else of it differs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.containers.host import host, why_none
from tests.containers.product import copied
from tests.end_to_end.machine import Product


@contextmanager
def product_of_containers(home: Path) -> Iterator[Product]:
    """The product with environments of an engine that is there for as long. Skips where none can be had."""
    if reason := why_none():
        pytest.skip(reason)
    # The engine of an earlier run took its images and containers with it; its registry, what was published.
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with TemporaryDirectory(dir=home) as scratch, host(Path(scratch)) as made:
        checkout = copied(home / "product", made.target)
        yield Product(
            command=(sys.executable, "-m", "roundtrip.commands"),
            variables={"PYTHONPATH": str(checkout / "include")},
            environments=checkout / "include" / "environments",
            kind="compose",
        )
