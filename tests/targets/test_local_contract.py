"""The local target obeys the contract of targets."""

import pytest

from tests.targets.contract import *  # noqa: F403 - the contract's tests are run here, against the local place

pytestmark = pytest.mark.integration
