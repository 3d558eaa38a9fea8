"""A service small enough to bend: answers on HOST:PORT, drains on SIGTERM, is sick or abrupt when its bundle says so.

`/slow` takes a while, `POST /die` ends the process after the request was read, `/flags` shows the flags it reads.
What was posted is noted in DELIVERIES or beside the flags file, a line for each delivery. While a file `overloaded` there names its
version, it does not answer its health path in time to be healthy, and all else as ever.
"""

import json
import os
import signal
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST = json.loads((Path.cwd() / "bundle.json").read_text())
SICK = (Path.cwd() / "sick").exists()
ABRUPT = (Path.cwd() / "abrupt").exists()
FLAGS = Path(os.environ["FLAGS_FILE"])
DELIVERIES = Path(os.environ.get("DELIVERIES", FLAGS.parent))
OVERLOADED = FLAGS.with_name("overloaded")
PROCESS = uuid.uuid4().hex
DRAIN_SECONDS = 5
SLOW_SECONDS = 1.0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with self.server.working():
            if self.path == "/slow":
                time.sleep(SLOW_SECONDS)
            if (
                self.path == "/healthz"
                and OVERLOADED.exists()
                and OVERLOADED.read_text() == MANIFEST["version"]
            ):
                self.answer(503, "overloaded")
            elif self.path == "/flags":
                self.answer(200, json.loads(FLAGS.read_text()))
            else:
                about = {
                    "version": MANIFEST["version"],
                    "greeting": os.environ["GREETING"],
                    "process": PROCESS,
                }
                self.answer(500 if SICK else 200, {**about, "door": os.environ.get("DOOR")})

    def do_POST(self) -> None:
        with self.server.working():
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with (DELIVERIES / "delivered.log").open("a") as file:
                file.write(body + "\n")
            if self.path == "/die":
                os._exit(1)
            self.answer(202, {"version": MANIFEST["version"]})

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.in_hand = 0
        self.changed = threading.Condition()
        super().__init__((os.environ["HOST"], int(os.environ["PORT"])), Handler)

    def working(self) -> "Server":
        return self

    def __enter__(self) -> None:
        with self.changed:
            self.in_hand += 1

    def __exit__(self, *_: object) -> None:
        with self.changed:
            self.in_hand -= 1
            self.changed.notify_all()

    def server_close(self) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.in_hand == 0, DRAIN_SECONDS)
        super().server_close()


def main() -> None:
    if "GREETING" not in os.environ:
        sys.exit(78)
    server = Server()
    if not ABRUPT:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    os._exit(0)


main()
