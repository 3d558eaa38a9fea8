"""A release that nobody looks after any more loses its traffic: with a real supervisor, proxy and processes."""

import pytest

from tests.watchdog.contract import *  # noqa: F403 - run here, beside the local target

pytestmark = pytest.mark.integration
