"""What a person sees: the login via GitHub, the backtest, and an old UI that a new session cookie does
not disturb.

The login goes step by step as a browser does in NextAuth's own flow (plan 3.2, 4.4).
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any
from urllib.parse import urlsplit

import httpx

from roundtrip.errors import SmokeError
from roundtrip.smoke.door import REQUEST_LIMIT_SECONDS, FrontDoor, json_of, request, require
from roundtrip.tls import trusted

SESSION_COOKIE = "next-auth.session-token"
BACKTEST = {"symbol": "BTC-USD", "fast": 5, "slow": 20}
BACKTEST_KEYS = frozenset({"symbol", "trades", "return_percent", "max_drawdown_percent", "equity"})
MOST_REDIRECTS = 5


def login_via_github(door: FrontDoor) -> None:
    """Sign in at GitHub, be who GitHub says, sign out, and be nobody again."""
    with door.client() as browser:
        require(not _session(browser), "expected no session before signing in, got one", door.front_door)
        _follow(browser, door, _authorize_address(browser, door))
        require(
            SESSION_COOKIE in browser.cookies,
            f"expected the cookie {SESSION_COOKIE} after signing in",
            door.front_door,
        )
        user = _session(browser).get("user") or {}
        require(
            bool(user.get("name")) and "@" in str(user.get("email")),
            f"session: expected a user, got {user}",
            door.front_door,
        )
        request(browser, "GET", "/", 200)
        _sign_out(browser)
        require(not _session(browser), "expected no session after signing out, got one", door.front_door)


def backtest(door: FrontDoor) -> None:
    """A backtest gives a result, the same one twice, and refuses a strategy that makes no sense."""
    with door.client() as browser:
        request(browser, "GET", "/backtest", 200)
        first = json_of(request(browser, "POST", "/api/backtest", 200, json=BACKTEST))
        require(
            set(first) >= BACKTEST_KEYS,
            f"expected {sorted(BACKTEST_KEYS)}, got {sorted(first)}",
            door.front_door,
        )
        require(first["symbol"] == BACKTEST["symbol"], f"symbol: got {first['symbol']}", door.front_door)
        require(len(first["equity"]) > 1, f"equity: expected a curve, got {first['equity']}", door.front_door)
        in_range = first["trades"] >= 0 and 0 <= first["max_drawdown_percent"] <= 100
        require(in_range, f"expected trades >= 0 and drawdown in 0 to 100 %, got {first}", door.front_door)
        second = json_of(request(browser, "POST", "/api/backtest", 200, json=BACKTEST))
        require(first == second, "the same backtest gave another result the second time", door.front_door)
        request(browser, "POST", "/api/backtest", 400, json={**BACKTEST, "symbol": "NO-SUCH"})


def stale_cookies(door: FrontDoor) -> None:
    """A browser with a session of the new version gets the old UI as if it had none (plan 4.4)."""
    stale = {
        SESSION_COOKIE: _session_of_another_time(),
        "next-auth.csrf-token": f"{secrets.token_hex(32)}%7C{secrets.token_hex(32)}",
        "next-auth.callback-url": door.front_door,
    }
    with door.client() as browser, door.client() as returning:
        for name, value in stale.items():
            returning.cookies.set(name, value)
        for path in ("/", "/api/positions", "/api/risk"):
            fresh = request(browser, "GET", path, 200)
            same = request(returning, "GET", path, 200)
            kinds = fresh.headers.get("content-type"), same.headers.get("content-type")
            require(
                kinds[0] == kinds[1],
                f"{path}: content type {kinds[0]} without cookies, {kinds[1]} with",
                door.front_door,
            )
            touched = [name for name in stale if name in same.cookies]
            require(not touched, f"{path}: the old UI answered to the cookies {touched}", door.front_door)
        for path in ("/backtest", "/api/auth/session"):
            request(returning, "GET", path, 404)


def _authorize_address(browser: httpx.Client, door: FrontDoor) -> str:
    """Where NextAuth sends the browser: GitHub's authorize page, with this front door to come back to."""
    form = {"csrfToken": _csrf(browser), "callbackUrl": door.front_door + "/", "json": "true"}
    address = str(json_of(request(browser, "POST", "/api/auth/signin/github", 200, data=form)).get("url"))
    require(
        "/login/oauth/authorize" in address,
        f"sign in: expected GitHub's authorize page, got {address}",
        door.front_door,
    )
    return address


def _follow(browser: httpx.Client, door: FrontDoor, address: str) -> None:
    """Follow redirects through GitHub back to the front door's own page. Raises SmokeError on an error
    page."""
    for _ in range(MOST_REDIRECTS):
        # The browser's cookies are for the front door; GitHub gets none of them.
        is_ours = urlsplit(address).netloc == urlsplit(door.front_door).netloc
        response = _get(browser, address) if is_ours else _get_elsewhere(address)
        target = response.headers.get("location")
        if not response.is_redirect or target is None:
            break
        address = str(response.url.join(target))
        require(
            "error=" not in urlsplit(address).query,
            f"signing in ended at {_path(address)} with an error",
            door.front_door,
        )
        if address.rstrip("/") == door.front_door.rstrip("/"):
            return
    raise SmokeError(
        f"signing in: expected to come back to the page, ended at {_path(address)}",
        where=door.front_door,
        remedy="look at the UI's log; GITHUB_ID, GITHUB_SECRET and NEXTAUTH_URL have to fit",
    )


def _get(browser: httpx.Client, address: str) -> httpx.Response:
    try:
        return browser.get(address)
    except httpx.HTTPError as error:
        raise SmokeError(
            f"no answer: {error}", where=_path(address), remedy="look at the UI's log"
        ) from error


def _get_elsewhere(address: str) -> httpx.Response:
    with httpx.Client(timeout=REQUEST_LIMIT_SECONDS, trust_env=False, verify=trusted()) as visitor:
        return _get(visitor, address)


def _sign_out(browser: httpx.Client) -> None:
    form = {"csrfToken": _csrf(browser), "callbackUrl": str(browser.base_url), "json": "true"}
    request(browser, "POST", "/api/auth/signout", 200, data=form)


def _csrf(browser: httpx.Client) -> str:
    token = json_of(request(browser, "GET", "/api/auth/csrf", 200)).get("csrfToken")
    require(bool(token), "expected a csrfToken, got none", str(browser.base_url))
    return str(token)


def _session(browser: httpx.Client) -> dict[str, Any]:
    return dict(json_of(request(browser, "GET", "/api/auth/session", 200)) or {})


def _session_of_another_time() -> str:
    """Well-formed as NextAuth's sessions are (JWE, dir + A256GCM), and sealed with a key that nobody has."""
    header = json.dumps({"alg": "dir", "enc": "A256GCM"}, separators=(",", ":")).encode()
    parts = [header, b"", secrets.token_bytes(12), secrets.token_bytes(180), secrets.token_bytes(16)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _path(address: str) -> str:
    """An address without its query: codes and states are in there."""
    return address.partition("?")[0]
