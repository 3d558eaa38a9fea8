"""The compose target obeys the contract of targets, in a real Docker Engine with a real registry."""

import pytest

from tests.containers.fixtures import *  # noqa: F403 - the engine, the registry and the base image
from tests.targets.compose_place import standing  # noqa: F401 - the compose place instead of the local one
from tests.targets.contract import *  # noqa: F403 - the contract's tests are run here, against the compose place

pytestmark = pytest.mark.integration
