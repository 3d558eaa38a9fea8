"""A service small enough to bend: answers on HOST:PORT, drains on SIGTERM, is sick when it is told to be."""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST = json.loads((Path.cwd() / "bundle.json").read_text())
SICK = "sick" in MANIFEST["version"] or (Path.cwd() / "sick").exists()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = 500 if SICK else 200
        body = json.dumps(
            {"version": MANIFEST["version"], "greeting": os.environ.get("GREETING"), "pid": os.getpid()}
        )
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
    server.daemon_threads = False
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    sys.exit(0)


main()
