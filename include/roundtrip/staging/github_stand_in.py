"""A stand-in for GitHub's OAuth web flow, so that the smoke test goes through NextAuth's real login without an account.

Made from GitHub's documentation, and nothing else of GitHub is here:
* docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps (web application flow, PKCE),
* docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors,
* docs.github.com/rest/users/users#get-the-authenticated-user and docs.github.com/rest/users/emails.

Rules:
1. The test user is logged in and approves at once; whoever comes with another client id gets a page that says 404.
2. A code works once, for ten minutes, for the redirect address and the PKCE challenge it was given for.
3. Errors of the token exchange are HTTP 200 with `error`, as GitHub documents them; the answer is a form unless the
   client accepts JSON.
4. Redirects go to loopback only: nothing here can be made to send a code elsewhere.
5. Client id and secret come by the environment variables GITHUB_ID and GITHUB_SECRET, never by arguments.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from roundtrip.errors import SecretError

CODE_LIFE = timedelta(minutes=10)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
DOCUMENTATION = "https://docs.github.com"
TOKEN_ERRORS: Mapping[str, str] = {
    "incorrect_client_credentials": "The client id or the client secret is not that of the application.",
    "redirect_uri_mismatch": "The redirect address is not the one of the authorization request.",
    "bad_verification_code": "The code is unknown, used or expired, or its verifier does not fit.",
}

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class User:
    """The one person who is logged in at the stand-in."""

    id: int = 583_001
    login: str = "release-tester"
    name: str = "Release Tester"
    email: str = "release-tester@example.com"


@dataclass(frozen=True)
class Grant:
    """What a code was given for."""

    redirect_uri: str
    scope: str
    challenge: str | None
    """S256 challenge; None when the client sent none"""
    ends_at: datetime


@dataclass
class StandIn:
    """The state of the server: codes not yet used and tokens given out. It is gone when the process ends."""

    client_id: str
    client_secret: str = field(repr=False)
    clock: Clock
    user: User = field(default_factory=User)
    _codes: dict[str, Grant] = field(default_factory=dict, repr=False)
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/login/oauth/authorize", self.authorize),
                Route("/login/oauth/access_token", self.access_token, methods=["POST"]),
                Route("/user", self.get_user),
                Route("/user/emails", self.get_emails),
                Route("/healthz", self.healthz),
            ]
        )

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "service": "github-stand-in"})

    async def authorize(self, request: Request) -> Response:
        """Web application flow, step 1: the user approves, and the browser goes back with a code."""
        query = request.query_params
        if not _same(query.get("client_id", ""), self.client_id):
            return HTMLResponse(
                "<title>Not found</title><h1>404</h1><p>No such application.</p>", status_code=404
            )
        redirect_uri = query.get("redirect_uri", "")
        if urlsplit(redirect_uri).hostname not in LOOPBACK:
            return HTMLResponse(
                "<title>Redirect</title><p>redirect_uri has to be a loopback address.</p>", status_code=400
            )
        answer = {"state": query["state"]} if "state" in query else {}
        method = query.get("code_challenge_method", "S256")
        if "code_challenge" in query and method != "S256":
            problem = {
                "error": "invalid_request",
                "error_description": "code_challenge_method has to be S256",
            }
            return RedirectResponse(_with_query(redirect_uri, {**problem, **answer}), status_code=302)
        code = secrets.token_hex(10)
        ends_at = self.clock() + CODE_LIFE
        self._codes[code] = Grant(redirect_uri, query.get("scope", ""), query.get("code_challenge"), ends_at)
        return RedirectResponse(_with_query(redirect_uri, {"code": code, **answer}), status_code=302)

    async def access_token(self, request: Request) -> Response:
        """Web application flow, step 2: the application's server turns the code into a token."""
        sent = await _parameters(request)
        problem = self._problem(sent)
        if problem is not None:
            page = f"{DOCUMENTATION}/apps/oauth-apps/maintaining-oauth-apps"
            body = {"error": problem, "error_description": TOKEN_ERRORS[problem], "error_uri": page}
            return _answer(request, body)
        grant = self._codes.pop(sent["code"])
        token = "gho_" + secrets.token_hex(18)
        self._tokens[token] = grant.scope
        return _answer(request, {"access_token": token, "scope": grant.scope, "token_type": "bearer"})

    async def get_user(self, request: Request) -> Response:
        refused = self._refused(request, "users#get-the-authenticated-user")
        if refused is not None:
            return refused
        api = f"{request.url.scheme}://{request.url.netloc}"
        user = self.user
        return JSONResponse(
            {
                "login": user.login,
                "id": user.id,
                "avatar_url": f"{api}/avatars/{user.id}",
                "url": f"{api}/users/{user.login}",
                "html_url": f"{api}/{user.login}",
                "type": "User",
                "site_admin": False,
                "name": user.name,
                "email": user.email,
            }
        )

    async def get_emails(self, request: Request) -> Response:
        refused = self._refused(request, "emails#list-email-addresses-for-the-authenticated-user")
        if refused is not None:
            return refused
        return JSONResponse(
            [{"email": self.user.email, "primary": True, "verified": True, "visibility": "public"}]
        )

    def _problem(self, sent: Mapping[str, str]) -> str | None:
        """Why this exchange is refused; None when it is good. A code that was shown with an error is used
        up."""
        known_client = _same(sent.get("client_id", ""), self.client_id)
        if not (known_client and _same(sent.get("client_secret", ""), self.client_secret)):
            return "incorrect_client_credentials"
        grant = self._codes.get(sent.get("code", ""))
        if grant is None or self.clock() >= grant.ends_at:
            return "bad_verification_code"
        if sent.get("redirect_uri", grant.redirect_uri) != grant.redirect_uri:
            return "redirect_uri_mismatch"
        if grant.challenge is not None and not _same(
            _challenge(sent.get("code_verifier", "")), grant.challenge
        ):
            del self._codes[sent["code"]]
            return "bad_verification_code"
        return None

    def _refused(self, request: Request, page: str) -> Response | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() in ("bearer", "token") and token in self._tokens:
            return None
        message = "Bad credentials" if token else "Requires authentication"
        body = {
            "message": message,
            "documentation_url": f"{DOCUMENTATION}/rest/users/{page}",
            "status": "401",
        }
        return JSONResponse(body, status_code=401)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve on loopback, or where containers reach this machine, until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m roundtrip.staging.github_stand_in")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    try:
        stand_in = StandIn(
            _variable("GITHUB_ID"), _variable("GITHUB_SECRET"), clock=lambda: datetime.now(UTC)
        )
    except SecretError as error:
        sys.stderr.write(f"{error}\n")
        return os.EX_CONFIG
    # No access log: the codes are in its addresses.
    uvicorn.run(stand_in.app(), host=options.host, port=options.port, access_log=False, log_level="warning")
    return 0


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SecretError(
            f"{name} is not set", where="github stand-in", remedy="give it by an environment variable"
        )
    return value


async def _parameters(request: Request) -> dict[str, str]:
    """The parameters of a POST: of the address, a form, or JSON."""
    sent = dict(request.query_params)
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        sent |= {name: str(value) for name, value in (await request.json()).items()}
    else:
        sent |= dict(parse_qsl(body.decode()))
    # RFC 6749, 2.3.1: a client may name itself by HTTP Basic instead, each part encoded as in a form.
    kind, _, credentials = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        client_id, _, client_secret = base64.b64decode(credentials).decode().partition(":")
        sent |= {"client_id": unquote_plus(client_id), "client_secret": unquote_plus(client_secret)}
    return sent


def _answer(request: Request, body: Mapping[str, str]) -> Response:
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(body)
    return PlainTextResponse(urlencode(body), media_type="application/x-www-form-urlencoded")


def _with_query(address: str, more: Mapping[str, str]) -> str:
    return address + ("&" if urlsplit(address).query else "?") + urlencode(more)


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


if __name__ == "__main__":
    sys.exit(main())
