"""A release whose people have channels: real ledger, real mail and web servers, secrets in a dictionary."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from roundtrip.errors import SecretError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.release import Release
from tests.notifying.receivers import Mailbox, Silent, Webhook, dead_port

PLAN = load_plan(Path(__file__).resolve().parents[1] / "dags" / "plans" / "small.yaml")
LOGIN, PASSWORD = "roundtrip", "planted-password-4711"
TOKEN = "planted-token-0815"


@dataclass
class People:
    """Makes releases that tell people; `addresses` are what the connections hold."""

    folder: Path
    addresses: dict[str, dict[str, str]] = field(default_factory=dict)

    def secrets(self, connection_id: str) -> Mapping[str, str]:
        if connection_id not in self.addresses:
            raise SecretError("no such connection", where=connection_id)
        return self.addresses[connection_id]

    def release(
        self,
        *notify: object,
        named: tuple[str, ...] = (),
        ledger: Callable[[str], Ledger] = Ledger,
        staging: tuple[object, ...] = ("file",),
        drill: bool = False,
    ) -> Release:
        """Opened. `notify` are the channels of production, `named` the people whom the plan names."""
        rollback = PLAN.rollback.model_copy(update={"notify": list(named)})
        home = Home(self.folder)
        release = Release(
            id="release_small.r1",
            plan=PLAN.model_copy(update={"rollback": rollback}),
            environments={"staging": _place("staging", staging), "production": _place("production", notify)},
            ledger=ledger(home.ledger_url),
            home=home,
            secrets=self.secrets,
            open_target=_no_target,
            ui="http://ui.example.org",
        )
        release.ledger.append_once(release.id, "release.started", "started", {"drill": drill})
        return release

    def written(self) -> list[dict[str, Any]]:
        """What the channel `file` has."""
        path = self.folder / "notifications.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def mail(self, port: int) -> str:
        """Address of a mailbox at this port; it holds a password."""
        return f"mailto://{LOGIN}:{PASSWORD}@127.0.0.1:{port}?from=roundtrip@example.org&to=oncall@example.org&mode=insecure"

    def hook(self, port: int) -> str:
        """Address of a webhook at this port; it holds a token."""
        return f"json://127.0.0.1:{port}/{TOKEN}"


def _place(stage: str, notify: tuple[object, ...]) -> Environment:
    return Environment.model_validate(
        {
            "name": f"simulated_{stage}",
            "stage": stage,
            "target": {"kind": "local"},
            "secrets_connection": "none",
            "signing_connection": "signing",
            "notify": list(notify),
        }
    )


def _no_target(_: Environment) -> Any:
    raise AssertionError("telling people needs no target")


def told(release: Release) -> list[tuple[str, str]]:
    """Channel and moment of what was accepted, as the ledger has it."""
    sent = release.ledger.events(release.id, kind="notification.sent")
    return [(event.data["channel"], event.data["moment"]) for event in sent]


def failed(release: Release) -> dict[str, str]:
    """By channel why it was not told, as the ledger has it."""
    events = release.ledger.events(release.id, kind="notification.failed")
    return {event.data["channel"]: event.data["error"] for event in events}


@pytest.fixture
def people(home_folder: Path) -> People:
    return People(home_folder)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    server = Mailbox(dead_port(), LOGIN, PASSWORD)
    yield server
    server.close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    yield server
    server.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


@pytest.fixture
def dripping() -> Iterator[Silent]:
    server = Silent(drips=True)
    yield server
    server.close()
