"""A copy of the product whose compose environments name what is here; nothing else of it differs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from roundtrip.commands.prepare import ROOT, STAGES

COPIED = ("dags", "plugins", "include")


def copied(checkout: Path, target: Mapping[str, Any]) -> Path:
    """The copy in `checkout`; `target` is what its environments' targets say beside their kind."""
    for name in COPIED:
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    yaml = YAML()
    for stage in STAGES:
        file = checkout / "include" / "environments" / f"compose_{stage}.yaml"
        environment = yaml.load(file)
        environment["target"].update(target)
        yaml.dump(environment, file)
    return checkout
