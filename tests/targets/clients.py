"""Clients that never stop asking until a line comes in, and then say how many requests were answered and how many failed.

Run as `python clients.py URL`. Half of them keep their cookies, as a browser does; each asks, posts and now and then
asks for something slow.
"""

import json
import sys
import threading
import time
from collections import Counter

import httpx

CLIENTS = 8
PACE_SECONDS = 0.02
EXPECTED = {"GET": 200, "POST": 202}


def main(url: str) -> None:
    stop, counts, problems = threading.Event(), Counter(), []

    def ask(client: httpx.Client, method: str, path: str) -> None:
        try:
            answer = client.request(method, path, content="order" if method == "POST" else None)
            is_right, what = (
                answer.status_code == EXPECTED[method],
                f"{answer.status_code} {answer.text[:80]}",
            )
        except httpx.HTTPError as error:
            is_right, what = False, repr(error)
        counts["answered" if is_right else "failed"] += 1
        if not is_right:
            problems.append(f"{time.time():.3f} {method} {path}: {what}")

    def run(number: int) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
            turn = number
            while not stop.is_set():
                turn += 1
                if number % 2:
                    client.cookies.clear()
                ask(client, "POST" if turn % 3 == 0 else "GET", "/slow" if turn % 40 == 1 else "/")
                stop.wait(PACE_SECONDS)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    sys.stdin.readline()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"answered": counts["answered"], "failed": counts["failed"], "problems": problems[:10]}))


if __name__ == "__main__":
    main(sys.argv[1])
