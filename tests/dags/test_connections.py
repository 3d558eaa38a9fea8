"""What a trigger is given of an Airflow connection: an Authorization header, or an error that holds no secret."""

from __future__ import annotations

import asyncio
import json

import pytest

from roundtrip.errors import SecretError
from steps.connections import authorization, connection_secrets, server_authorization


@pytest.mark.parametrize(
    ("connection", "header"),
    [
        ("http://reader:open-sesame@prometheus", "Basic cmVhZGVyOm9wZW4tc2VzYW1l"),
        ("http://:a-token@prometheus", "Bearer a-token"),
    ],
    ids=["login and password", "a token"],
)
def test_a_connection_becomes_a_header(monkeypatch: pytest.MonkeyPatch, connection: str, header: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_METRICS", connection)
    assert asyncio.run(authorization("metrics")) == header
    assert server_authorization("metrics") == header


def test_a_connection_without_a_password_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_METRICS", "http://reader@prometheus")
    with pytest.raises(SecretError, match="has no password at metrics"):
        asyncio.run(authorization("metrics"))
    with pytest.raises(SecretError, match="has no password at metrics"):
        server_authorization("metrics")


def test_a_connection_that_is_not_there_is_told(metadata_database: None) -> None:
    with pytest.raises(SecretError, match="no such Airflow connection at nowhere"):
        asyncio.run(authorization("nowhere"))
    with pytest.raises(SecretError, match="no such Airflow connection at nowhere"):
        server_authorization("nowhere")


def test_the_values_of_a_connection_are_its_extra_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {
        "conn_type": "generic",
        "extra": {"mail": "mailtos://x:y@example.org", "room": "json://example.org"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL", json.dumps(held))
    assert connection_secrets("oncall") == held["extra"]


def test_an_extra_without_names_is_told_without_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL", json.dumps({"conn_type": "generic", "extra": '["a-token"]'}))
    with pytest.raises(SecretError, match="expected a JSON object, got a list") as caught:
        connection_secrets("oncall")
    assert "a-token" not in str(caught.value)


def test_values_of_a_connection_that_is_not_there_are_told(metadata_database: None) -> None:
    with pytest.raises(SecretError, match="no such Airflow connection at nowhere"):
        connection_secrets("nowhere")
