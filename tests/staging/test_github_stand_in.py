"""The stand-in as GitHub's documentation says the web flow goes, step by step and refusal by refusal."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from roundtrip.staging.github_stand_in import StandIn

BACK = "http://127.0.0.1:3000/api/auth/callback/github"
JSON = {"accept": "application/json"}


class Bed:
    """A stand-in with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.stand_in = StandIn("an-id", "a-secret", clock=lambda: self.now)
        transport = httpx.ASGITransport(app=self.stand_in.app())
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9")

    async def code(self, **more: str) -> str:
        asked = {"client_id": "an-id", "redirect_uri": BACK, "scope": "read:user", "state": "s&t", **more}
        response = await self.client.get("/login/oauth/authorize", params=asked)
        assert response.status_code == 302
        back = urlsplit(response.headers["location"])
        query = parse_qs(back.query)
        assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
        assert query["state"] == ["s&t"]
        return query["code"][0]

    async def exchange(self, code: str, **more: str) -> dict[str, str]:
        sent = {"client_id": "an-id", "client_secret": "a-secret", "code": code, **more}
        response = await self.client.post("/login/oauth/access_token", data=sent, headers=JSON)
        assert response.status_code == 200, "GitHub answers its errors with 200"
        answer: dict[str, str] = response.json()
        return answer


@pytest.fixture
def bed() -> Bed:
    return Bed()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_whole_flow_ends_with_the_user(bed: Bed) -> None:
    answer = await bed.exchange(await bed.code(), redirect_uri=BACK)
    assert answer["token_type"] == "bearer"
    assert answer["scope"] == "read:user"
    user = await bed.client.get("/user", headers={"authorization": f"Bearer {answer['access_token']}"})
    assert (user.status_code, user.json()["login"], user.json()["id"]) == (200, "release-tester", 583_001)
    emails = await bed.client.get(
        "/user/emails", headers={"authorization": f"token {answer['access_token']}"}
    )
    assert [(e["email"], e["primary"], e["verified"]) for e in emails.json()] == [
        ("release-tester@example.com", True, True)
    ]


@pytest.mark.anyio
async def test_without_json_asked_for_the_answer_is_a_form(bed: Bed) -> None:
    sent = {"client_id": "an-id", "client_secret": "a-secret", "code": await bed.code()}
    response = await bed.client.post("/login/oauth/access_token", data=sent)
    assert response.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert dict(parse_qsl(response.text))["token_type"] == "bearer"


@pytest.mark.anyio
async def test_a_code_works_once(bed: Bed) -> None:
    code = await bed.code()
    assert "access_token" in await bed.exchange(code)
    assert (await bed.exchange(code))["error"] == "bad_verification_code"


@pytest.mark.anyio
async def test_a_code_ends_after_ten_minutes(bed: Bed) -> None:
    in_time, late = await bed.code(), await bed.code()
    bed.now += timedelta(minutes=9, seconds=59)
    assert "access_token" in await bed.exchange(in_time)
    bed.now += timedelta(seconds=1)
    assert (await bed.exchange(late))["error"] == "bad_verification_code"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"client_secret": "another"}, "incorrect_client_credentials"),
        ({"client_id": "another"}, "incorrect_client_credentials"),
        ({"redirect_uri": BACK + "/else"}, "redirect_uri_mismatch"),
        ({"code": "unknown"}, "bad_verification_code"),
    ],
)
async def test_a_wrong_exchange_is_refused_and_leaves_the_code(
    bed: Bed, wrong: dict[str, str], error: str
) -> None:
    code = await bed.code()
    assert (await bed.exchange(**{"code": code, **wrong}))["error"] == error
    assert "access_token" in await bed.exchange(code)


@pytest.mark.anyio
async def test_pkce_binds_the_code_to_its_verifier(bed: Bed) -> None:
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    bound = {"code_challenge": challenge, "code_challenge_method": "S256"}
    assert "access_token" in await bed.exchange(await bed.code(**bound), code_verifier=verifier)
    assert (await bed.exchange(await bed.code(**bound), code_verifier="x" * 64))[
        "error"
    ] == "bad_verification_code"
    assert (await bed.exchange(await bed.code(**bound)))["error"] == "bad_verification_code"


@pytest.mark.anyio
async def test_an_unknown_application_gets_a_page_and_no_code(bed: Bed) -> None:
    asked = {"client_id": "another", "redirect_uri": BACK}
    response = await bed.client.get("/login/oauth/authorize", params=asked)
    assert response.status_code == 404
    assert "location" not in response.headers


@pytest.mark.anyio
@pytest.mark.parametrize(
    "address", ["https://example.com/x", "//example.com", "", "http://127.0.0.1.example.com/"]
)
async def test_no_code_is_sent_beyond_loopback(bed: Bed, address: str) -> None:
    response = await bed.client.get(
        "/login/oauth/authorize", params={"client_id": "an-id", "redirect_uri": address}
    )
    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "message"),
    [({}, "Requires authentication"), ({"authorization": "Bearer gho_made_up"}, "Bad credentials")],
)
async def test_a_user_is_shown_to_the_bearer_of_a_token_only(
    bed: Bed, headers: dict[str, str], message: str
) -> None:
    for path in ("/user", "/user/emails"):
        response = await bed.client.get(path, headers=headers)
        assert (response.status_code, response.json()["message"]) == (401, message)


@pytest.mark.integration
def test_without_its_variables_the_process_ends_and_names_the_one() -> None:
    include = str(Path(__file__).parents[2] / "include")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": include, "GITHUB_ID": "an-id"}
    command = [sys.executable, "-m", "roundtrip.staging.github_stand_in", "--port", str(port)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == os.EX_CONFIG
    assert "GITHUB_SECRET is not set" in ended.stderr
    assert "an-id" not in ended.stderr


@pytest.mark.anyio
async def test_a_client_may_name_itself_by_http_basic_encoded_as_a_form(bed: Bed) -> None:
    bed.stand_in.client_secret = "se:cr/et+%"
    code = await bed.code()
    encoded = base64.b64encode(b"an-id:se%3Acr%2Fet%2B%25").decode()
    headers = {**JSON, "authorization": f"Basic {encoded}"}
    response = await bed.client.post("/login/oauth/access_token", data={"code": code}, headers=headers)
    assert response.json()["token_type"] == "bearer"
