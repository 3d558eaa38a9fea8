from __future__ import annotations

import pytest

from backtester.strategy import Request, RequestError, prices, run


def test_the_bundled_prices_are_whole_and_positive() -> None:
    assert list(prices()) == ["BTC-USD", "ETH-USD", "SOL-USD"]
    assert all(len(closes) == 500 and min(closes) > 0 for closes in prices().values())


def test_the_same_request_gives_the_same_answer() -> None:
    request = Request("BTC-USD", 5, 20)
    assert run(request) == run(request)


def test_return_and_drawdown_are_those_of_the_equity() -> None:
    answer = run(Request("SOL-USD", 5, 20))
    equity = answer["equity"]
    assert answer["return_percent"] == pytest.approx((equity[-1] - 1) * 100, abs=1e-3)
    lowest = min(after / max(equity[: i + 1]) for i, after in enumerate(equity))
    assert answer["max_drawdown_percent"] == pytest.approx((1 - lowest) * 100, abs=1e-3)
    assert 0 < answer["trades"] < len(equity)


def test_out_of_the_market_nothing_is_won_or_lost() -> None:
    equity = run(Request("BTC-USD", 5, 20))["equity"]
    closes = prices()["BTC-USD"]
    for day in range(1, len(equity)):
        at = day + 19
        earned = equity[day] / equity[day - 1]
        assert earned == pytest.approx(1, abs=1e-5) or earned == pytest.approx(closes[at] / closes[at - 1], abs=1e-5)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ([], ""),
        ({}, "symbol"),
        ({"symbol": "DOGE-USD", "fast": 1, "slow": 2}, "symbol"),
        ({"symbol": "BTC-USD", "fast": 0, "slow": 2}, "fast"),
        ({"symbol": "BTC-USD", "fast": True, "slow": 2}, "fast"),
        ({"symbol": "BTC-USD", "fast": 5, "slow": 401}, "slow"),
        ({"symbol": "BTC-USD", "fast": 5, "slow": 5}, "fast"),
    ],
)
def test_what_cannot_be_run_names_its_field(data: object, field: str) -> None:
    with pytest.raises(RequestError) as raised:
        Request.read(data)
    assert raised.value.field == field
