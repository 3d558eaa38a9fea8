"""Secrets from Airflow connections: the extra of a connection holds its values by name."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from roundtrip.errors import SecretError


def connection_secrets(connection_id: str) -> Mapping[str, str]:
    """Secret values of an Airflow connection by name. Raises SecretError when there is no such connection."""
    try:
        connection = BaseHook.get_connection(connection_id)
    except AirflowNotFoundException as error:
        raise SecretError(
            "no such Airflow connection",
            where=connection_id,
            remedy="create it in Admin > Connections or the secrets backend; docs/environments.md lists its values",
        ) from error
    return {str(name): str(value) for name, value in connection.extra_dejson.items()}
