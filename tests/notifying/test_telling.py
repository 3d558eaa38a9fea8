"""People are told over real mail and a real webhook; whatever a channel does, the release goes on and no secret shows."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

import psutil
import pytest

from roundtrip.ledger.ledger import Event, Ledger
from roundtrip.notifying import messages
from roundtrip.notifying.sending import send
from roundtrip.notifying.telling import notify
from roundtrip.release import Release
from tests.notifying.conftest import LOGIN, PASSWORD, TOKEN, People, failed, told
from tests.notifying.receivers import Mailbox, Silent, Webhook, dead_port

ONCALL = {"connection": "oncall"}
PATIENCE_SECONDS = 60.0


def tell(release: Release) -> None:
    notify(release, messages.started(release))


def couriers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "roundtrip.notifying.courier" in p.cmdline()]


def test_a_mail_says_what_where_since_when_what_next_and_where_to_look(
    people: People, mailbox: Mailbox
) -> None:
    people.addresses["oncall"] = {"mail": people.mail(mailbox.port)}
    release = people.release(ONCALL)
    tell(release)
    (mail,) = mailbox.mails
    assert mailbox.recipients == ["oncall@example.org"]
    assert mail["Subject"] == "release of Small 1.1.0 has begun (simulated_staging, simulated_production)"
    text = mail.get_body(("plain",))
    assert text is not None
    lines = text.get_content().splitlines()
    assert [line.partition(":")[0] for line in lines if line] == ["What", "Where", "Since", "Next", "Look at"]
    assert f"{release.folder}/dossier.html, http://ui.example.org" in text.get_content()
    assert told(release) == [("file", "started"), ("oncall/mail", "started")]


def test_a_webhook_is_told_with_how_bad_it_is(people: People, webhook: Webhook) -> None:
    people.addresses["oncall"] = {"room": people.hook(webhook.port)}
    release = people.release(ONCALL)
    notify(release, messages.ended(release, "BROKEN"))
    ((path, body),) = webhook.posted
    assert path == f"/{TOKEN}"
    assert body["type"] == "failure"
    assert "COULD NOT BE TAKEN BACK" in body["title"]
    assert "do what docs/runbook.md says under BROKEN" in body["message"]


def test_told_once_however_often_the_task_runs(people: People, mailbox: Mailbox, webhook: Webhook) -> None:
    people.addresses["oncall"] = {"mail": people.mail(mailbox.port), "room": people.hook(webhook.port)}
    release = people.release(ONCALL)
    for _ in range(3):
        tell(release)
    assert (len(mailbox.mails), len(webhook.posted), len(people.written())) == (1, 1, 1)


class Cut(BaseException):
    """The process ends here."""


class CutLedger(Ledger):
    """The real ledger of a process that is killed before it can say that somebody was told."""

    is_cut = True

    def append_once(
        self, release: str, kind: str, key: str, data: Mapping[str, Any], **options: Any
    ) -> Event:
        if kind == "notification.sent" and self.is_cut:
            raise Cut
        return super().append_once(release, kind, key, data, **options)


def test_killed_between_sending_and_recording_it_is_sent_again(people: People, webhook: Webhook) -> None:
    people.addresses["oncall"] = {"room": people.hook(webhook.port)}
    release = people.release(ONCALL, staging=(), ledger=CutLedger)
    with pytest.raises(Cut):
        tell(release)
    release.ledger.is_cut = False
    tell(release)
    tell(release)
    assert len(webhook.posted) == 2
    assert told(release) == [("oncall/room", "started")]


def test_each_way_to_fail_is_recorded_and_the_others_are_told(
    people: People, mailbox: Mailbox, webhook: Webhook, silent: Silent, dripping: Silent
) -> None:
    refusing = Webhook(status=503)
    people.addresses["oncall"] = {
        "dead": people.hook(dead_port()),
        "dead mail": people.mail(dead_port()),
        "refuses": people.hook(refusing.port),
        "no login": people.mail(mailbox.port).replace(f"{LOGIN}:{PASSWORD}@", ""),
        "silent": people.hook(silent.port),
        "silent mail": people.mail(silent.port),
        "dripping": people.hook(dripping.port),
        "unknown": f"carrierpigeon://{TOKEN}",
        "no address": TOKEN,
        "halved": f"slack://{TOKEN}",
        "room": people.hook(webhook.port),
    }
    people.addresses["empty"] = {}
    release = people.release(ONCALL, {"connection": "empty"}, {"connection": "missing"})
    tell(release)
    refusing.close()
    errors = failed(release)
    silent_web = errors.pop("oncall/silent")
    assert silent_web in ("could not be reached, or refused", "no answer within 5 s"), (
        "Apprise's limit or ours"
    )
    assert errors == {
        "oncall/dead": "could not be reached, or refused",
        "oncall/dead mail": "could not be reached, or refused",
        "oncall/refuses": "was answered with 503",
        "oncall/no login": "could not be reached, or refused",
        "oncall/silent mail": "no answer within 5 s",
        "oncall/dripping": "no answer within 5 s",
        "oncall/unknown": "no address that Apprise knows",
        "oncall/no address": "no address that Apprise knows",
        "oncall/halved": "no address that Apprise knows",
        "empty": "its extra holds no address",
        "missing": "no such connection",
    }
    assert told(release) == [("file", "started"), ("oncall/room", "started")]
    assert couriers() == []


def test_no_secret_is_in_the_ledger_a_log_a_file_or_a_process(
    people: People,
    mailbox: Mailbox,
    webhook: Webhook,
    silent: Silent,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    people.addresses["oncall"] = {
        "mail": people.mail(mailbox.port),
        "room": people.hook(webhook.port),
        "silent": people.mail(silent.port),
        "dead": people.hook(dead_port()),
        "no address": TOKEN,
    }
    release = people.release(ONCALL)
    telling = threading.Thread(target=tell, args=(release,))
    telling.start()
    assert silent.asked.wait(PATIENCE_SECONDS)
    (courier,) = couriers()
    shown = json.dumps([courier.cmdline(), courier.environ()])
    telling.join(PATIENCE_SECONDS)
    assert len(mailbox.mails) == len(webhook.posted) == 1, "the secrets were used"
    files = [path for path in people.folder.rglob("*") if path.is_file()]
    assert {"ledger.db", "notifications.jsonl"} <= {path.name for path in files}
    kept = b"".join(path.read_bytes() for path in files).decode("latin-1")
    for place in (shown, kept, caplog.text, repr(release.ledger.events())):
        for secret in (PASSWORD, TOKEN, f"{LOGIN}:"):
            assert secret not in place
    assert "not told by oncall/dead" in caplog.text


def test_a_process_that_does_not_end_is_ended(people: People, silent: Silent) -> None:
    became = send({"mail": people.mail(silent.port)}, "subject", "body", "info", limit_seconds=0.05)
    assert became == {"mail": "the process that sends did not answer within 0.05 s"}
    assert couriers() == []


def test_a_file_that_cannot_be_written_is_one_more_channel_that_failed(people: People) -> None:
    release = people.release("file")
    (people.folder / "notifications.jsonl").mkdir()
    tell(release)
    assert "Is a directory" in failed(release)["file"]
    assert told(release) == []
