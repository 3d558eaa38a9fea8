"""Throughput, gauges and rejected orders: what is counted of them, and that less work is what is worse."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from arms import NOON, first_verdict, gate, metric, sample, waiting, work
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server

from roundtrip.errors import EvidenceError, GateError, MetricRenamedError
from roundtrip.gates import bursts
from roundtrip.gates.evidence import Baseline, Counts, Decision, MetricEvidence, Sample, Verdict
from roundtrip.gates.fold import RawScrape, Reading, absorb
from roundtrip.gates.history import judged
from roundtrip.gates.many import Arms, Recorded
from roundtrip.gates.names import SERVICES
from roundtrip.gates.page import Page
from roundtrip.gates.reading import Versions
from roundtrip.gates.scrape import Services
from roundtrip.gates.sequential import Judge
from roundtrip.gates.summary import wilson

ORDERS, HTTP = SERVICES
WORK, WAITING = work(), waiting()
REJECTED = metric("rejected", kind="rejected", source="services", service="workers")


class Worker:
    """The metrics of one worker."""

    def __init__(self, started: float) -> None:
        self.registry = CollectorRegistry()
        self.received = Counter("orders_received", "t", registry=self.registry)
        self.rejected = Counter("orders_rejected", "t", ["reason"], registry=self.registry)
        self.seconds = Histogram("order_handling_seconds", "t", registry=self.registry)
        self.lag = Gauge("stream_lag", "t", registry=self.registry)
        Gauge("process_start_time_seconds", "t", registry=self.registry).set(started)

    def page(self) -> Page:
        return Page.parse(generate_latest(self.registry).decode(), where="worker")


def everything(_labels: dict[str, str]) -> bool:
    return True


def test_work_is_counted_beside_the_time_that_its_process_was_there() -> None:
    worker = Worker(started=1000.0)
    for _ in range(7):
        worker.seconds.observe(0.1)
    assert worker.page().counts(WORK, ORDERS, everything, 1012.5) == Counts(12_500, 7)


def test_a_process_that_is_younger_than_a_blink_was_not_there_yet_and_one_from_the_future_is_no_evidence() -> (
    None
):
    assert Worker(started=1000.5).page().counts(WORK, ORDERS, everything, 1000.0) == Counts(0, 0)
    with pytest.raises(EvidenceError, match="began 60 s after the moment of its page"):
        Worker(started=1060.0).page().counts(WORK, ORDERS, everything, 1000.0)


def test_a_process_without_a_start_time_or_a_histogram_has_no_throughput() -> None:
    page = Worker(started=1.0).page()
    timeless = replace(page, series=tuple(s for s in page.series if s.name != "process_start_time_seconds"))
    with pytest.raises(MetricRenamedError, match="shows no process_start_time_seconds"):
        timeless.counts(WORK, ORDERS, everything, 5.0)
    with pytest.raises(MetricRenamedError, match="shows no order_handling_seconds"):
        Page.parse("# TYPE orders_received_total counter\n", where="w").counts(WORK, ORDERS, everything, 5.0)


def test_rejected_orders_are_counted_over_all_reasons_and_only_where_they_are_promised() -> None:
    worker = Worker(started=1.0)
    worker.received.inc(20)
    worker.rejected.labels("kill_switch").inc(3)
    worker.rejected.labels("exposure_limit").inc(2)
    assert worker.page().counts(REJECTED, ORDERS, everything) == Counts(20, 5)
    without = "# TYPE orders_received_total counter\norders_received_total 3\n"
    with pytest.raises(MetricRenamedError, match="shows no orders_rejected_total"):
        Page.parse(without, where="w").counts(REJECTED, ORDERS, everything)
    text = '# TYPE http_requests_total counter\nhttp_requests_total{code="200"} 3\n'
    with pytest.raises(MetricRenamedError, match="shows no counter of rejected ones beside http_requests"):
        Page.parse(text, where="w").counts(REJECTED, HTTP, everything)


@pytest.mark.parametrize(("value", "above"), [(0, 0), (10, 0), (11, 1)])
def test_a_look_is_above_the_bound_or_not(value: float, above: int) -> None:
    worker = Worker(started=1.0)
    worker.lag.set(value)
    assert worker.page().look(WAITING) == Counts(1, above)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gauge_that_is_no_number_is_no_evidence_and_one_that_is_gone_was_renamed(value: float) -> None:
    worker = Worker(started=1.0)
    worker.lag.set(value)
    with pytest.raises(EvidenceError, match="stream_lag: expected a finite number"):
        worker.page().look(WAITING)
    with pytest.raises(MetricRenamedError, match="shows no stream_lag"):
        Page.parse("# TYPE x counter\n", where="w").look(WAITING)


def test_of_several_series_of_a_gauge_the_largest_counts() -> None:
    text = 'stream_lag{stream="a"} 1\nstream_lag{stream="b"} 99\n'
    assert Page.parse(text, where="w").look(WAITING) == Counts(1, 1)


def test_looks_add_up_from_the_second_sample_on_and_need_no_memory_of_their_process() -> None:
    def look(above: int, instance: str = "a") -> Reading:
        return Reading("canary", "waiting", instance, Counts(1, above), is_look=True)

    scrapes = [[look(1)], [look(1), look(0, "b")], [], [look(0)]]
    totals = None
    for number, one in enumerate(scrapes):
        totals = absorb(totals, RawScrape(NOON + timedelta(seconds=number), tuple(one)))
    assert totals is not None
    assert totals.of("canary", ["waiting"]) == {"waiting": Counts(3, 1)}
    assert totals.to_json() == {}


def test_a_worker_that_starts_again_has_no_time_before_its_start() -> None:
    def work(age: float, finished: int, started: float) -> Reading:
        return Reading("canary", "work", "a", Counts(round(age * 1000), finished), started=started)

    noon = NOON.timestamp()
    readings = [work(900, 500, noon - 900), work(901, 503, noon - 900), work(0.25, 1, noon + 1.75)]
    totals = None
    for number, one in enumerate(readings):
        totals = absorb(totals, RawScrape(NOON + timedelta(seconds=number), (one,)))
    assert totals is not None
    assert totals.of("canary", ["work"]) == {"work": Counts(1250, 4)}


def test_real_pages_of_both_versions_make_one_scrape_of_all_three_kinds(tmp_path) -> None:
    at = datetime.now(UTC)
    workers = {"1.0.0": Worker(at.timestamp() - 100), "1.1.0": Worker(at.timestamp() - 10)}
    workers["1.1.0"].lag.set(11)
    for _ in range(30):
        workers["1.0.0"].seconds.observe(0.1)
    servers = [start_http_server(0, "127.0.0.1", worker.registry)[0] for worker in workers.values()]
    listed = [
        {"targets": [f"127.0.0.1:{server.server_port}"], "labels": {"service": "workers", "version": version}}
        for version, server in zip(workers, servers, strict=True)
    ]
    targets = tmp_path / "targets.json"
    targets.write_text(json.dumps(listed), encoding="utf-8")
    try:
        source = Services(targets, (WORK, WAITING, REJECTED), Versions("1.1.0", "1.0.0"))
        scrape = asyncio.run(source.read(at))
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
    assert scrape.missing == {}
    assert {one.column: one.counts for one in scrape.readings} == {
        "canary/work": Counts(10_000, 0),
        "stable/work": Counts(100_000, 30),
        "canary/waiting": Counts(1, 1),
        "stable/waiting": Counts(1, 0),
        "canary/rejected": Counts(0, 0),
        "stable/rejected": Counts(0, 0),
    }


def working(
    canary_rate: float, stable_rate: float, *, seconds: int = 300, processes: tuple[int, int] = (1, 3)
) -> list[Sample]:
    """A version's processes finish so many orders each second."""
    times = [1000 * n for n in processes]
    return [
        sample(
            s,
            (times[0] * s, round(canary_rate * processes[0] * s)),
            (times[1] * s, round(stable_rate * processes[1] * s)),
            name="work",
        )
        for s in range(seconds + 1)
    ]


def test_a_canary_whose_processes_do_as_much_passes() -> None:
    decision, seconds = first_verdict(Judge(gate(WORK, minimum_requests=50)), working(5, 5))
    assert decision.verdict is Verdict.PASS
    assert seconds < 60
    assert "work: canary " in decision.reason
    assert "finished in" in decision.reason


def test_a_canary_whose_processes_do_half_of_it_fails() -> None:
    decision, seconds = first_verdict(Judge(gate(WORK)), working(2.5, 5))
    assert decision.verdict is Verdict.FAIL
    assert seconds < 120


def test_a_canary_that_does_nothing_fails_within_seconds_and_never_passes() -> None:
    decision, seconds = first_verdict(Judge(gate(WORK)), working(0, 5))
    assert decision.verdict is Verdict.FAIL
    assert seconds < 10
    assert "canary 0 finished" in decision.reason


def test_a_canary_that_does_more_never_fails() -> None:
    decision, _ = first_verdict(Judge(gate(WORK)), working(50, 5))
    assert decision.verdict is Verdict.PASS


def test_a_queue_without_work_shows_nothing() -> None:
    idle = working(0, 0, seconds=700)
    decision, seconds = first_verdict(Judge(gate(WORK)), idle)
    assert (decision.verdict, seconds) == (Verdict.INCONCLUSIVE, 600)
    assert decision.reason.startswith("no-traffic: ")


def test_the_minimum_of_a_throughput_is_of_the_canarys_work() -> None:
    plan = gate(WORK, minimum_requests=500, deadline_seconds=90)
    decision, _ = first_verdict(Judge(plan), working(5, 5))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "work: 450 of 500 canary orders" in decision.reason


def test_a_throughput_without_another_version_is_refused() -> None:
    with pytest.raises(GateError, match="no other version's throughput"):
        Judge(gate(WORK), {"work": Baseline(Counts(1000, 10))})
    arms = Arms(*(np.ones((1, 3), dtype=np.int64) for _ in range(4)))
    recorded = Recorded(*(np.ones(1, dtype=np.int64) for _ in range(2)))
    with pytest.raises(GateError, match="no other version's throughput"):
        judged(gate(WORK), {"work": arms}, {"work": recorded})


def looked(above: list[bool]) -> list[Sample]:
    counts = [0, *np.cumsum(above).tolist()]
    return [sample(n, (n, bad), (n, 0), name="waiting") for n, bad in enumerate(counts)]


def test_a_gauge_that_stays_below_its_bound_passes_by_its_blocks_whatever_the_minimum_of_requests() -> None:
    plan = gate(WAITING, minimum_requests=10**6)
    decision, seconds = first_verdict(Judge(plan), looked([False] * 600))
    assert decision.verdict is Verdict.PASS
    assert 20 < seconds < 120
    assert "above the bound in 0 of" in decision.reason


def test_a_gauge_that_stays_above_it_fails_and_one_that_is_for_a_moment_does_not() -> None:
    assert first_verdict(Judge(gate(WAITING)), looked([True] * 600))[0].verdict is Verdict.FAIL
    now_and_then = [n % 60 == 0 for n in range(600)]
    assert first_verdict(Judge(gate(WAITING)), looked(now_and_then))[0].verdict is Verdict.PASS


def test_a_gauge_alone_is_held_against_the_plans_tolerance() -> None:
    judge = Judge(gate(WAITING, deadline_seconds=2000), {"waiting": Baseline()})
    assert first_verdict(judge, looked([False] * 1000))[0].verdict is Verdict.PASS
    assert first_verdict(judge, looked([True] * 1000))[0].verdict is Verdict.FAIL


GATES = 400


def test_fair_shares_of_a_queue_fail_no_more_often_than_stated() -> None:
    plan = gate(WORK, false_alarm=0.05, deadline_seconds=300)
    dice = np.random.default_rng(7)
    shape = (GATES, 300)
    demand = dice.gamma(1.0, 20.0, shape)  # the queue's work rises and falls for both versions alike
    arms = Arms(
        np.full(shape, 1000),
        dice.poisson(demand * 0.25),
        np.full(shape, 3000),
        dice.poisson(demand * 0.75),
    )
    failed = int(np.isfinite(judged(plan, {"work": arms}).failed).sum())
    assert wilson(failed, GATES)[0] <= 0.05


def test_looks_that_hang_together_fail_no_more_often_than_stated() -> None:
    plan = gate(WAITING, false_alarm=0.05, deadline_seconds=600)
    dice = np.random.default_rng(7)
    begins = np.arange(600.0)
    # In a burst every look is above the bound, or none: a third of the time in both versions, each for itself.
    arms = [bursts.drawn(GATES, begins, 5.0, dice) > 1.2 for _ in range(2)]
    looks = np.ones((GATES, 600), dtype=np.int64)
    counted = Arms(looks, arms[0].astype(np.int64), looks, arms[1].astype(np.int64))
    failed = int(np.isfinite(judged(plan, {"waiting": counted}).failed).sum())
    assert wilson(failed, GATES)[0] <= 0.05


interval = st.tuples(st.integers(0, 12), st.integers(0, 12))


@settings(deadline=None, max_examples=60)
@given(
    finished=st.lists(interval, min_size=10, max_size=80),
    above=st.lists(st.booleans(), min_size=80, max_size=80),
    noise=st.sampled_from(
        [
            {},
            {"noise": "bursts", "burst_seconds": 4, "burst_ratio": 3},
            {"noise": "bursts", "burst_seconds": 3},
        ]
    ),
)
def test_many_at_once_end_as_the_judge_does(
    finished: list[tuple[int, int]], above: list[bool], noise: dict[str, object]
) -> None:
    metrics = (WORK, WAITING.model_copy(update={"burst_seconds": 2.0}))
    plan = gate(*metrics, false_pass=0.3, false_alarm=0.2, minimum_requests=5, **noise)
    done = np.array(finished, dtype=np.int64)
    looks = np.array(above[: len(finished)], dtype=np.int64)
    one = np.ones_like(looks)
    arms = {
        "work": Arms(1000 * one, done[:, 0], 2000 * one, done[:, 1]),
        "waiting": Arms(one, looks, one, np.zeros_like(looks)),
    }
    many = {
        name: Arms(*(each[None, :] for each in (a.canary, a.canary_bad, a.stable, a.stable_bad)))
        for name, a in arms.items()
    }
    assert judged(plan, many).verdict(0) == by_judge(Judge(plan), arms, len(finished))


def by_judge(judge: Judge, arms: dict[str, Arms], samples: int) -> tuple[Verdict | None, float]:
    state, decision = judge.start(), Decision(None, "")
    for number in range(samples + 1):
        at = NOON + timedelta(seconds=number)
        canary, stable = (
            {name: Counts(int(a.sum()), int(b.sum())) for name, (a, b) in upto.items()}
            for upto in (
                {n: (x.canary[:number], x.canary_bad[:number]) for n, x in arms.items()},
                {n: (x.stable[:number], x.stable_bad[:number]) for n, x in arms.items()},
            )
        )
        state, decision = judge.fold(state, Sample(number, at, NOON, canary, stable), at)
        if decision.verdict is not None:
            return decision.verdict, float(number)
    return None, float("inf")


def test_the_kind_survives_the_ledger_and_an_older_verdict_is_of_errors() -> None:
    evidence = MetricEvidence(Counts(1, 1), Counts(2, 2), 1.0, 100.0, 1.0, 20.0, "throughput")
    assert MetricEvidence.from_json(evidence.to_json()) == evidence
    older = {name: value for name, value in evidence.to_json().items() if name != "kind"}
    assert MetricEvidence.from_json(older).kind == "errors"
