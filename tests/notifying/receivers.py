"""Real servers that people's channels stand for: mail, a webhook, and ones that do not do what they should."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from roundtrip.targets.ports import free_ports

LOOPBACK = "127.0.0.1"


class Mailbox:
    """An SMTP server that takes mail after a login."""

    def __init__(self, port: int, login: str, password: str) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        wanted = LoginPassword(login.encode(), password.encode())
        self._controller = Controller(
            self,
            hostname=LOOPBACK,
            port=port,
            auth_require_tls=False,
            authenticator=lambda _server, _session, _envelope, _how, given: AuthResult(
                success=given == wanted
            ),
        )
        self.port = port
        self._controller.start()

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if not session.authenticated:
            return "530 log in first"
        self.recipients += envelope.rcpt_tos
        content = cast(bytes, envelope.content)
        self.mails.append(cast(EmailMessage, BytesParser(policy=default).parsebytes(content)))
        return "250 OK"

    def close(self) -> None:
        self._controller.stop()


@dataclass
class Webhook:
    """An HTTP server that keeps what is posted to it; `status` is bent by a test."""

    status: int = 204
    posted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """path and body"""

    def __post_init__(self) -> None:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posted.append((self.path, json.loads(body)))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Silent:
    """A server that accepts, reads, and never says a word; `drips`: answers a byte whenever a client would give up."""

    def __init__(self, *, drips: bool = False) -> None:
        self.asked = threading.Event()
        self._closed = threading.Event()
        silent = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                silent.asked.set()
                with suppress(ConnectionError):
                    if drips:
                        self.request.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
                        while not silent._closed.wait(1):
                            self.request.sendall(b".")
                silent._closed.wait()

        self._server = socketserver.ThreadingTCPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()


def dead_port() -> int:
    """A port where nobody listens."""
    return free_ports(1)[0]
