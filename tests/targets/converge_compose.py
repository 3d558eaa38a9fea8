"""Converges a compose environment as it is told by standard input, to be killed while it does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from roundtrip.plan.deployment import Deployment
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from tests.targets.compose_place import compose
from tests.targets.place import HERE, SECRETS


def main() -> None:
    told = json.loads(sys.stdin.read())
    environment = Environment.model_validate(told["environment"])
    target = compose(environment, load_plan(HERE / "plan.yaml"), Home(Path(told["home"])), SECRETS)
    target.converge(Deployment.from_json(told["desired"]), told["token"], print)


if __name__ == "__main__":
    main()
