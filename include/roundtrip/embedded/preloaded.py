"""`python -m roundtrip.embedded.preloaded COMPONENT`: becomes `airflow COMPONENT`, with what tasks import loaded before.

The scheduler's executor forks a process for each task. What is loaded here none of them has to load: half a second of
a core for each of a release's forty tasks. What was loaded stays as it was, so `code` says when to start anew.
The triggerer forks nothing and loads by itself what it needs; both take those before them for dead.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
import runpy
import sys
from collections.abc import Iterable
from pathlib import Path

import roundtrip
from roundtrip.embedded.heartbeats import JOBS, forget_coming

METADATA = "ROUNDTRIP_AIRFLOW_METADATA"
"""the variable with the address of Airflow's database; it goes by a socket and holds no secret"""
NO_TASK_IMPORTS = ("roundtrip.commands", "roundtrip.embedded")


def load() -> None:
    """Import all of `roundtrip` that a task may import."""
    for module in pkgutil.walk_packages(roundtrip.__path__, "roundtrip."):
        if not module.name.startswith(NO_TASK_IMPORTS) and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


def code(folders: Iterable[Path]) -> str:
    """sha256 of the Python files below `folders`, by path and content: differs when what was loaded is not what is there."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


if __name__ == "__main__":
    component = sys.argv[1]
    if component != "triggerer":
        load()
    if component in JOBS:
        forget_coming(os.environ[METADATA], component)
    # Not imported: below the DAGs nothing knows Airflow, here it is a program that is started.
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)
