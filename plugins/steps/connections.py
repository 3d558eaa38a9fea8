"""Secrets from Airflow connections: the extra of a connection holds its values by name, a server's login is its own."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

from roundtrip.errors import SecretError, SecretUnavailableError


def connection_secrets(connection_id: str) -> Mapping[str, str]:
    """Secret values of an Airflow connection by name.

    Raises SecretError when there is no such connection, SecretUnavailableError when Airflow cannot say.
    """
    values = _connection(connection_id).extra_dejson
    if not isinstance(values, dict):
        raise SecretError(
            f"its extra: expected a JSON object, got a {type(values).__name__}",
            where=connection_id,
            remedy="write the values by name; docs/environments.md lists them",
        )
    return {str(name): str(value) for name, value in values.items()}


async def authorization(connection_id: str) -> str:
    """Value of the Authorization header for a server: basic with login and password, bearer with a password alone.

    For triggers: it does not hold up the event loop. Raises SecretError.
    """
    try:
        connection = await BaseHook.aget_connection(connection_id)
    except AirflowNotFoundException as error:
        raise _no_such(connection_id) from error
    return _header(connection, connection_id)


def server_authorization(connection_id: str) -> str:
    """What `authorization` gives, for steps. Raises SecretError, SecretUnavailableError when Airflow cannot say."""
    return _header(_connection(connection_id), connection_id)


def _connection(connection_id: str) -> Connection:
    try:
        return BaseHook.get_connection(connection_id)
    except AirflowNotFoundException as error:
        raise _no_such(connection_id) from error
    except AirflowRuntimeError as error:
        raise SecretUnavailableError(
            "cannot be asked for: Airflow did not answer with a connection",
            where=connection_id,
            remedy="see the log of the api-server and of the secrets backend",
        ) from error


def _header(connection: Connection, connection_id: str) -> str:
    if not connection.password:
        raise SecretError(
            "has no password",
            where=connection_id,
            remedy="give login and password, or a token as the password; or name no connection in the environment",
        )
    if not connection.login:
        return f"Bearer {connection.password}"
    pair = f"{connection.login}:{connection.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _no_such(connection_id: str) -> SecretError:
    return SecretError(
        "no such Airflow connection",
        where=connection_id,
        remedy="create it in Admin > Connections or the secrets backend; docs/environments.md lists its values",
    )
