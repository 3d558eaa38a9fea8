"""Which version answered a request, as far as a client can know.

Rules:
1. A response header `X-Version` is believed first.
2. Otherwise the proxy's sticky cookie names the version: the one that the response sets, or the one that
   was sent with
   the request and was not replaced. Its value is looked up in the file that the target keeps, and as a
   whole part of it.
3. What is in neither is 'unknown'; nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

import httpx

from roundtrip.traffic.series import UNKNOWN_VERSION

VERSION_HEADER = "x-version"


class ServedBy:
    """Tells the version of a response; with no `versions` file only the header counts."""

    def __init__(self, versions: Path | None) -> None:
        self._file = versions
        self._read_at_ns = 0
        self._known: Mapping[str, str] = {}

    def __call__(self, response: httpx.Response) -> str:
        header = response.headers.get(VERSION_HEADER)
        if header:
            return str(header)
        known = self._mapping()
        for value in (*response.cookies.values(), *_sent_cookies(response)):
            if value in known:
                return known[value]
        return UNKNOWN_VERSION

    def _mapping(self) -> Mapping[str, str]:
        if self._file is None or not self._file.exists():
            return self._known
        changed_ns = self._file.stat().st_mtime_ns
        if changed_ns != self._read_at_ns:
            self._known = json.loads(self._file.read_text(encoding="utf-8"))
            self._read_at_ns = changed_ns
        return self._known


def _sent_cookies(response: httpx.Response) -> tuple[str, ...]:
    jar = SimpleCookie()
    try:
        jar.load(response.request.headers.get("cookie", ""))
    except CookieError:
        return ()
    return tuple(morsel.value for morsel in jar.values())
