"""A small worker that keeps the platform's contract, as a process of its own that a test kills and bends.

`python -m tests.smoke.simulated_worker --port P --redis URL --version V --name N [--bend HOW]`
HOW: `twice` fills every order twice, `lose` drops one in three, `drift` shows a state that is not in Redis,
`silent` counts no metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from decimal import Decimal

import redis.asyncio as redis
import uvicorn
from prometheus_client import CollectorRegistry, Counter, generate_latest
from redis.exceptions import ResponseError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

APPLY = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], 'filled')
redis.call('HINCRBYFLOAT', KEYS[2], ARGV[2], ARGV[6])
redis.call('XADD', KEYS[3], '*', 'order_id', ARGV[1], 'symbol', ARGV[2], 'side', ARGV[3], 'quantity', ARGV[4],
           'price', ARGV[5], 'status', 'filled', 'reason', '', 'version', ARGV[7], 'at', '')
return 1
"""
CLAIM_AFTER_MS = 1000


class Worker:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.redis = redis.Redis.from_url(options.redis, decode_responses=True)
        self.registry = CollectorRegistry()
        labels = ["service", "version"]
        self.filled = Counter("orders_filled", "", labels, registry=self.registry)
        self.rejected = Counter("orders_rejected", "", [*labels, "reason"], registry=self.registry)
        self.seen = 0

    def app(self) -> Starlette:
        @contextlib.asynccontextmanager
        async def lifespan(_app: Starlette):
            consumer = asyncio.create_task(self.consume())
            yield
            consumer.cancel()

        routes = [Route("/healthz", self.healthz), Route("/metrics", self.metrics), Route("/risk", self.risk)]
        return Starlette(routes=[*routes, Route("/positions", self.positions)], lifespan=lifespan)

    async def consume(self) -> None:
        with contextlib.suppress(ResponseError):
            await self.redis.xgroup_create("orders", "workers", id="0", mkstream=True)
        name = self.options.name
        while True:
            claimed = await self.redis.xautoclaim("orders", "workers", name, CLAIM_AFTER_MS, "0-0", count=50)
            new = await self.redis.xreadgroup("workers", name, {"orders": ">"}, count=10, block=200)
            for entry, fields in [*claimed[1], *(pair for _, pairs in new for pair in pairs)]:
                if fields:
                    await self.handle(fields)
                await self.redis.xack("orders", "workers", entry)

    async def handle(self, fields: dict[str, str]) -> None:
        self.seen += 1
        if self.options.bend == "lose" and self.seen % 3 == 0:
            return
        times = 2 if self.options.bend == "twice" else 1
        for _ in range(times):
            await (self.fill_1_0(fields) if self.options.version == "1.0.0" else self.fill_1_1(fields, times))
        if self.options.bend != "silent":
            self.filled.labels("workers", self.options.version).inc()

    async def fill_1_0(self, f: dict[str, str]) -> None:
        same = {k: f[k] for k in ("order_id", "symbol", "side", "quantity", "price")}
        is_rejected = self.options.bend in ("killed", "refusing")
        ending = (
            {"status": "rejected", "reason": "kill_switch"}
            if is_rejected
            else {"status": "filled", "reason": ""}
        )
        await self.redis.xadd("fills", {**same, **ending, "version": "1.0.0", "at": ""})

    async def fill_1_1(self, f: dict[str, str], times: int) -> None:
        applied = f"risk:applied{self.seen}{times}" if self.options.bend == "twice" else "risk:applied"
        if self.options.bend == "twice":
            await self.redis.delete(applied)
        sign = 1 if f["side"] == "buy" else -1
        notional = str(sign * Decimal(f["quantity"]) * Decimal(f["price"]))
        arguments = [f["order_id"], f["symbol"], f["side"], f["quantity"], f["price"], notional, "1.1.0"]
        await self.redis.eval(APPLY, 3, applied, "risk:exposure", "fills", *arguments)

    async def exposure(self) -> dict[str, float]:
        if self.options.version == "1.1.0":
            exposure = {k: float(v) for k, v in (await self.redis.hgetall("risk:exposure")).items()}
        else:
            exposure = {}
            for _, f in await self.redis.xrange("fills"):
                if f["status"] != "filled":
                    continue
                sign = 1 if f["side"] == "buy" else -1
                exposure.setdefault(f["symbol"], 0.0)
                exposure[f["symbol"]] += sign * float(f["quantity"]) * float(f["price"])
        if self.options.bend == "drift":
            exposure["BTC-USD"] = exposure.get("BTC-USD", 0) + 0.01
        return exposure

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "service": "workers", "version": self.options.version})

    async def metrics(self, _request: Request) -> Response:
        return PlainTextResponse(generate_latest(self.registry))

    async def risk(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "exposure": await self.exposure(),
                "pnl": 0,
                "kill_switch": self.options.bend in ("killed", "deaf"),
            }
        )

    async def positions(self, _request: Request) -> Response:
        exposure = await self.exposure()
        positions = [{"symbol": s, "quantity": 0, "exposure": v} for s, v in sorted(exposure.items())]
        return JSONResponse({"positions": positions})


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("redis", "version", "name"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bend", default="")
    options = parser.parse_args()
    uvicorn.run(Worker(options).app(), host="127.0.0.1", port=options.port, log_level="error")


if __name__ == "__main__":
    main()
